import pytest
import torch
import torch.nn.functional as F

from mmovseg.models.heads.tdee_head import TDEE, TDEEHead
from mmovseg.models.ops import mask_pool


@torch.no_grad()
def test_embeds_both_pools_and_adds_the_kernel(seed):
    head = TDEEHead(8, 6, embed_channels=5)
    pixels, spatial = torch.randn(2, 8, 4, 4), torch.randn(2, 6, 4, 4)
    masks, kernels = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 8)
    mask = head.mask_proj(mask_pool(pixels, masks))
    space = head.spatial_proj(mask_pool(spatial, masks))
    expected = head.embed(head.tdee(mask, space) + kernels)
    torch.testing.assert_close(head(pixels, spatial, masks, kernels), expected)
    torch.testing.assert_close(head.logit_scale.exp(), torch.tensor(1 / 0.07))


def test_missing_spatial_features_are_named():
    with pytest.raises(ValueError, match=r'TDEEHead needs .*MaskEmbedHead'):
        TDEEHead(8, None, embed_channels=5)


@torch.no_grad()
def test_equals_the_equations_written_out(seed):
    layer = TDEE(4)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    mask, spatial = torch.randn(1, 3, 4), torch.randn(1, 3, 4)
    m, s = layer.mask_params(mask), layer.spatial_params(spatial)
    shared = m[..., :4] * s[..., :4]
    gate_m = torch.sigmoid(layer.mask_router_norm(layer.mask_router(shared)))
    gate_s = torch.sigmoid(layer.spatial_router_norm(layer.spatial_router(shared)))
    experts = gate_m * layer.mask_norm(m[..., 4:])
    experts = experts + gate_s * layer.spatial_norm(s[..., 4:])
    expected = F.gelu(layer.out_norm(layer.out(experts)))
    torch.testing.assert_close(layer(mask, spatial), expected)
    assert not torch.allclose(layer(spatial, mask), expected)
