import pytest
import torch
from torch import nn

from mmovseg.models.ops import PatchConv


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('batch', [1, 2])
def test_the_plain_form_agrees(dtype, batch, layout, seed, assert_plain_agrees):
    conv = nn.Conv2d(3, 5, (4, 3), stride=(4, 3), bias=False).to(dtype)
    patches = PatchConv.from_conv(conv)
    assert patches.weight is conv.weight
    # Two and three patches, and pixels that make none.
    images = layout(torch.randn(batch, 3, 9, 11).to(dtype))
    assert patches(images).shape == (batch, 5, 2, 3)
    half = dict(rtol=5e-2, atol=5e-2) if dtype == torch.bfloat16 else {}
    assert_plain_agrees(patches, images, module=patches, **half)
    torch.testing.assert_close(patches(images), conv(images), **half)
