import pytest
import torch
from torch import nn

from mmovseg.models import ops
from mmovseg.models.ops import conv_coordinates


def make_conv(channels=3):
    """Return x as the first channel of the result, and y as the second."""
    conv = nn.Conv2d(channels + 2, 2, 1)
    weight = torch.zeros(2, channels + 2)
    weight[0, channels] = weight[1, channels + 1] = 1
    conv.weight.data = weight[..., None, None]
    conv.bias.data.zero_()
    return conv


@torch.no_grad()
@pytest.mark.parametrize('form', ['fast', 'plain', 'graph'])
def test_coordinates_run_from_minus_one_to_one_x_first(monkeypatch, form, seed):
    if form == 'graph':
        monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
        monkeypatch.setattr(torch, 'linspace', None)
    with ops.plain(form == 'plain'):
        x, y = conv_coordinates(torch.randn(1, 3, 16, 24), make_conv())[0]
    assert x[:, 0].tolist() == [-1] * 16
    assert x[:, -1].tolist() == [1] * 16
    assert y[0].tolist() == [-1] * 24
    assert y[-1].tolist() == [1] * 24
    assert x[3].diff().tolist() == pytest.approx([2 / 23] * 23, rel=1e-5)
    assert y[:, 3].diff().tolist() == pytest.approx([2 / 15] * 15, rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('form', ['fast', 'plain', 'graph'])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_coordinates_in_half_precision_are_those_of_float32(monkeypatch, form, dtype):
    conv, x = make_conv(1), torch.zeros(1, 1, 2, 601)
    exact = conv_coordinates(x, conv)
    if form == 'graph':
        monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    with ops.plain(form == 'plain'):
        got = conv_coordinates(x.to(dtype), conv.to(dtype))
    assert got.dtype == dtype
    rounding = torch.finfo(dtype).eps / 2
    torch.testing.assert_close(got.float(), exact, atol=rounding, rtol=0)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('batch', [1, 2])
def test_the_plain_form_agrees(dtype, batch, layout, seed, assert_plain_agrees):
    conv = nn.Conv2d(5, 4, 1).to(dtype)
    x = layout(torch.randn(batch, 3, 4, 6).to(dtype))
    half = dict(rtol=2e-2, atol=3e-2) if dtype == torch.bfloat16 else {}
    assert_plain_agrees(lambda x: conv_coordinates(x, conv), x, module=conv, **half)
