import torch
import torch.nn.functional as F

from mmovseg.models.layers import TDEE


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
