import pytest
import torch

from mmovseg.models.ops import make_masks


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('batch', [1, 2])
def test_the_plain_form_agrees(dtype, batch, layout, seed, assert_plain_agrees):
    kernels = torch.randn(batch, 5, 3).to(dtype)
    features = layout(torch.randn(batch, 3, 4, 6).to(dtype))
    half = dict(rtol=2e-2, atol=2e-2) if dtype == torch.bfloat16 else {}
    assert_plain_agrees(make_masks, kernels, features, **half)


def test_a_mask_is_the_product_of_kernel_and_position(seed):
    kernels, features = torch.randn(2, 5, 3), torch.randn(2, 3, 4, 6)
    masks = make_masks(kernels, features)
    for b, n, y, x in ((0, 0, 0, 0), (1, 4, 3, 5), (1, 2, 0, 4)):
        expected = kernels[b, n] @ features[b, :, y, x]
        torch.testing.assert_close(masks[b, n, y, x], expected)


def test_masks_outside_of_the_loss_need_no_products(seed, assert_plain_agrees):
    kernels, features = torch.randn(2, 5, 3), torch.randn(2, 3, 4, 6)

    def run(kernels, features):
        return make_masks(kernels, features)[[0, 0, 1], [4, 1, 2]]

    assert_plain_agrees(run, kernels, features)
    assert_plain_agrees(lambda *x: make_masks(*x)[:0], kernels, features)
