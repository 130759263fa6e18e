import pytest
import torch

from mmovseg.models.ops import resized_masks


@pytest.mark.parametrize('size', [(2, 3), (4, 6), (3, 5)])
@pytest.mark.parametrize('batch', [1, 2])
def test_the_plain_form_agrees(size, batch, seed, assert_plain_agrees):
    kernels = torch.randn(batch, 5, 3)
    features = torch.randn(batch, 3, 4, 6)
    assert_plain_agrees(lambda *args: resized_masks(*args, size), kernels, features)
