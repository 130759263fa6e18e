import pytest
import torch
import torch.nn.functional as F

from mmovseg.models.ops import (
    at_least_float32,
    layer_norm_float32,
    to_autocast,
    without_autocast,
)


def test_half_precision_becomes_float32_and_float64_stays():
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert at_least_float32(torch.ones(1, dtype=dtype)).dtype == torch.float32
    assert at_least_float32(torch.ones(1).double()).dtype == torch.float64


def test_products_under_autocast_find_their_type():
    x = torch.ones(2)
    assert to_autocast(x) is x
    with torch.autocast('cpu', torch.bfloat16):
        assert to_autocast(x.double()).dtype == torch.float64
        assert to_autocast(x).dtype == (x[None] @ x[:, None]).dtype == torch.bfloat16


def test_autocast_is_off_inside_and_on_again_outside():
    x = torch.ones(2, 2)
    with torch.autocast('cpu', torch.bfloat16):
        with without_autocast(x.device):
            assert (x @ x).dtype == torch.float32
        assert (x @ x).dtype == torch.bfloat16
    with without_autocast(x.device):
        assert (x @ x).dtype == torch.float32


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.bfloat16])
def test_a_norm_takes_wide_values_whatever_its_weights(dtype, seed):
    norm, x = torch.nn.LayerNorm(6).to(dtype), 1e5 * torch.randn(2, 3, 6)
    torch.nn.init.normal_(norm.weight)
    expected = F.layer_norm(x, (6,), norm.weight.float(), norm.bias.float())
    assert layer_norm_float32(x, norm).dtype == torch.float32
    torch.testing.assert_close(layer_norm_float32(x, norm), expected)
