from importlib import import_module

import pytest
import torch
from torch import nn

from mmovseg.models import ops
from mmovseg.models.ops import best_probability

module = import_module('mmovseg.models.ops.best_probability')


def make_embed(channels=4, width=6):
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.GELU(),
        nn.Conv2d(channels, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.GELU(),
    )


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('projected', [True, False])
def test_the_plain_form_agrees(
    dtype, batch, projected, layout, seed, assert_plain_agrees, monkeypatch
):
    monkeypatch.setattr(module, 'CHUNK', 7)
    embed = make_embed(4, 6).to(dtype) if projected else nn.Identity()
    x = layout(torch.randn(batch, 4 if projected else 6, 3, 5).to(dtype))
    names = torch.randn(7, 6).to(dtype)
    half = dict(rtol=5e-2, atol=5e-2) if dtype == torch.bfloat16 else {}

    def run(x, names):
        return best_probability(x, names, embed)

    assert_plain_agrees(run, x, names, module=embed, **half)


def test_the_plain_form_takes_the_softmax(seed):
    x, names = torch.randn(2, 6, 3, 5), torch.randn(7, 6)
    scores = torch.einsum('bchw,nc->bhwn', x, names)
    expected = scores.softmax(-1).amax(-1).unsqueeze(1)
    with ops.plain():
        found = best_probability(x, names, nn.Identity())
    torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_the_form_of_a_graph_agrees(seed, monkeypatch):
    x, names, embed = torch.randn(2, 4, 3, 5), torch.randn(7, 6), make_embed().eval()
    expected = best_probability(x, names, embed)
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    torch.testing.assert_close(best_probability(x, names, embed), expected)
