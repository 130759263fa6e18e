import pytest
import torch

from mmovseg.models.ops import mask_pool, mask_sum


def test_mask_pool_averages_inside_each_mask(seed):
    features = torch.randn(2, 3, 4, 5)
    logits = torch.randn(2, 6, 4, 5)
    pooled = mask_pool(features, logits)
    for b in range(2):
        for n in range(6):
            inside = features[b][:, logits[b, n] > 0]
            torch.testing.assert_close(pooled[b, n], inside.mean(-1))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_mask_pool_of_an_empty_mask_is_zero(dtype):
    pooled = mask_pool(torch.ones(1, 2, 3, 3, dtype=dtype), -torch.ones(1, 1, 3, 3))
    assert pooled.dtype == dtype
    assert (pooled == 0).all()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_sums_over_a_large_map_stay_finite_in_half_precision(dtype):
    features = torch.full((1, 2, 256, 256), 1.5, dtype=dtype)
    masks = torch.ones(1, 1, 256, 256)
    pooled = mask_pool(features, masks)
    assert pooled.dtype == dtype
    assert (pooled == 1.5).all()
    with torch.autocast('cpu', dtype):
        assert mask_sum(features, masks > 0).tolist() == [[[1.5 * 65536] * 2]]


def test_mask_pool_thresholds_after_resizing():
    logits = torch.tensor([[[[-3.0, 1.0], [-3.0, 1.0]]]])
    # A 1x1 map sees the mean of the logits, -1: outside, although half is inside.
    assert mask_pool(torch.ones(1, 1, 1, 1), logits) == 0


def test_mask_pool_lets_no_gradient_through_the_mask():
    features = torch.rand(1, 2, 2, 2, requires_grad=True)
    logits = torch.ones(1, 1, 2, 2, requires_grad=True)
    mask_pool(features, logits).sum().backward()
    assert logits.grad is None
    torch.testing.assert_close(features.grad, torch.full((1, 2, 2, 2), 0.25))
