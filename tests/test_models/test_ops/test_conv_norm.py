import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmovseg.models.ops import conv_norm, fold_norm


def make_norm(channels):
    norm = nn.BatchNorm2d(channels)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return norm


@torch.no_grad()
def test_a_folded_norm_is_the_norm(seed):
    x, norm = torch.randn(2, 3, 5, 4), make_norm(6).eval()
    conv = nn.Conv2d(3, 6, 3, bias=False)
    expected = norm(conv(x))
    torch.testing.assert_close(F.conv2d(x, *fold_norm(conv.weight, norm)), expected)
    conv = nn.ConvTranspose2d(3, 6, 2, bias=False)
    weight, bias = fold_norm(conv.weight, norm, transposed=True)
    torch.testing.assert_close(F.conv_transpose2d(x, weight, bias), norm(conv(x)))


CONVS = {
    'dense': lambda: nn.Conv2d(6, 6, 3, padding=1, bias=False),
    'depthwise': lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False),
    'transposed': lambda: nn.ConvTranspose2d(6, 6, 4, stride=2, padding=1, bias=False),
}


@pytest.mark.parametrize('kind', CONVS)
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('batch', [1, 2])
def test_the_plain_form_agrees(kind, dtype, batch, layout, seed, assert_plain_agrees):
    parts = nn.ModuleList([CONVS[kind](), make_norm(6)]).to(dtype)
    x = layout(torch.randn(batch, 6, 5, 4).to(dtype))
    half = dict(rtol=5e-2, atol=0.1) if dtype == torch.bfloat16 else {}
    assert_plain_agrees(lambda x: conv_norm(x, *parts), x, module=parts, **half)


@torch.no_grad()
def test_a_norm_in_training_sees_the_batch(seed):
    conv, norm = CONVS['dense'](), make_norm(6)
    nn.init.ones_(norm.weight)
    nn.init.zeros_(norm.bias)
    before = norm.running_mean.clone()
    output = conv_norm(torch.randn(4, 6, 5, 4), conv, norm)
    zeros = torch.zeros(6)
    torch.testing.assert_close(output.mean((0, 2, 3)), zeros, atol=1e-5, rtol=0)
    assert not torch.equal(norm.running_mean, before)
