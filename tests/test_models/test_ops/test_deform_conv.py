from importlib import import_module

import pytest
import torch
from torch import nn

from mmovseg.models import ops
from mmovseg.models.ops import deform_conv, deform_conv_norm


@pytest.mark.parametrize('std', [0.3, 30.0])  # 30: most samples are outside
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('batch', [1, 2])
def test_the_plain_form_agrees(std, dtype, batch, layout, seed, assert_plain_agrees):
    x, offset, mask = (
        layout(torch.randn(batch, channels, 5, 6).to(dtype)) for channels in (3, 18, 9)
    )
    weight, bias = torch.randn(4, 3, 3, 3).to(dtype), torch.randn(4).to(dtype)
    inputs = x, std * offset, mask, weight, bias
    assert_plain_agrees(deform_conv, *inputs, rtol=1e-4, atol=1e-4)


def test_without_bias_it_is_added_to_nothing(seed):
    inputs = [torch.randn(1, c, 4, 4) for c in (3, 18, 9)] + [torch.randn(4, 3, 3, 3)]
    bias = torch.randn(4)
    expected = deform_conv(*inputs) + bias.view(-1, 1, 1)
    torch.testing.assert_close(deform_conv(*inputs, bias), expected)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('training', [True, False])
def test_the_plain_form_with_a_norm_agrees(dtype, training, seed, assert_plain_agrees):
    norm = nn.BatchNorm2d(4).train(training).to(dtype)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    x, weight = torch.randn(2, 3, 5, 6).to(dtype), torch.randn(4, 3, 3, 3).to(dtype)
    offset, mask = torch.randn(2, 18, 5, 6), torch.rand(2, 9, 5, 6)

    def run(x, weight):
        wide = torch.promote_types(dtype, torch.float32)
        return deform_conv_norm(x, offset.to(wide), mask.to(wide), weight, norm)

    tolerance = 0.2 if dtype == torch.bfloat16 else 1e-4
    assert_plain_agrees(run, x, weight, module=norm, rtol=tolerance, atol=tolerance)


def test_the_plain_form_is_torchvisions_operator(seed, monkeypatch):
    inputs = [torch.randn(1, c, 4, 4) for c in (3, 18, 9)] + [torch.randn(4, 3, 3, 3)]
    module = import_module('mmovseg.models.ops.deform_conv')
    monkeypatch.setattr(module, 'deform_conv2d', lambda *args, **kwargs: 'called')
    assert isinstance(deform_conv(*inputs), torch.Tensor)
    with ops.plain():
        assert deform_conv(*inputs) == 'called'
