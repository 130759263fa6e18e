import pytest
import torch
import torch.nn.functional as F

from mmovseg.models.ops import mask_pool
from projects.eovseg_ablations import SDIHead
from projects.eovseg_ablations.sdi_head import SeparableDynamicInteraction


@torch.no_grad()
def test_embeds_both_pools_and_adds_the_kernel(seed):
    head = SDIHead(8, 6, embed_channels=5, num_queries=3)
    pixels, spatial = torch.randn(2, 8, 4, 4), torch.randn(2, 6, 4, 4)
    masks, kernels = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 8)
    mask = head.mask_proj(mask_pool(pixels, masks))
    space = head.spatial_proj(mask_pool(spatial, masks))
    expected = head.embed(head.interaction(mask, space) + kernels)
    torch.testing.assert_close(head(pixels, spatial, masks, kernels), expected)
    torch.testing.assert_close(head.logit_scale.exp(), torch.tensor(1 / 0.07))


def test_missing_spatial_features_are_named():
    with pytest.raises(ValueError, match=r'SDIHead needs .*MaskEmbedHead'):
        SDIHead(8, None, embed_channels=5, num_queries=3)


@torch.no_grad()
def test_taps_run_along_the_channels_and_weights_mix_the_queries(seed):
    layer = SeparableDynamicInteraction(5, 4)
    torch.nn.init.normal_(layer.norm.weight)
    mask, spatial = torch.randn(2, 4, 5), torch.randn(2, 4, 5)
    weights = mask @ layer.kernels.weight.T + layer.kernels.bias
    expected = torch.zeros(2, 4, 5)
    for b in range(2):
        moved = torch.zeros(4, 5)
        for n in range(4):
            padded = F.pad(spatial[b, n], (1, 1))
            for c in range(5):
                moved[n, c] = (weights[b, n, :3] * padded[c : c + 3]).sum()
        for n in range(4):
            for m in range(4):
                expected[b, n] += weights[b, n, 3 + m] * moved[m]
    expected = mask + layer.norm(expected)
    torch.testing.assert_close(layer(mask, spatial), expected)


def test_another_number_of_queries_is_refused():
    layer = SeparableDynamicInteraction(5, 4)
    with pytest.raises(ValueError, match=r'built for 4 .* has 3.*num_queries'):
        layer(torch.zeros(1, 3, 5), torch.zeros(1, 3, 5))


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_keeps_its_type(seed, dtype):
    layer = SeparableDynamicInteraction(8, 3)
    mask, spatial = torch.randn(1, 3, 8), torch.randn(1, 3, 8)
    expected = layer(mask, spatial)
    with torch.autocast('cpu', dtype):
        autocast = layer(mask, spatial)
    got = layer.to(dtype)(mask.to(dtype), spatial.to(dtype))
    assert got.dtype == dtype
    for x in (autocast, got):
        torch.testing.assert_close(x.float(), expected, rtol=0.1, atol=0.1)
