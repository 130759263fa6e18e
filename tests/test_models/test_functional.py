import pytest
import torch

from mmovseg.models.functional import (
    append_void,
    arithmetic_ensemble,
    from_host,
    geometric_ensemble,
    make_masks,
    mask_pool,
    mask_sum,
    resize_masks,
    to_autocast,
    to_channels_last,
)


@pytest.mark.parametrize('in_graph', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_masks_are_products_of_kernels_and_positions(
    monkeypatch, in_graph, dtype, seed
):
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: in_graph)
    kernels, pixels = torch.randn(2, 5, 3).to(dtype), torch.randn(2, 3, 4, 6).to(dtype)
    masks = make_masks(kernels, to_channels_last(pixels))
    assert masks.shape == (2, 5, 4, 6) and masks.dtype == dtype
    for b, n, y, x in ((0, 0, 0, 0), (1, 4, 3, 5), (1, 2, 0, 4)):
        expected = kernels[b, n].float() @ pixels[b, :, y, x].float()
        torch.testing.assert_close(
            masks[b, n, y, x].float(), expected, rtol=1e-2, atol=1e-2
        )


def test_products_under_autocast_find_their_type():
    x = torch.ones(2)
    assert to_autocast(x) is x
    with torch.autocast('cpu', torch.bfloat16):
        assert to_autocast(x.double()).dtype == torch.float64
        assert to_autocast(x).dtype == (x[None] @ x[:, None]).dtype == torch.bfloat16


def test_numbers_of_the_host_get_their_type_and_device():
    numbers = from_host([3, 1], 'cpu', torch.int64)
    assert numbers.tolist() == [3, 1] and numbers.dtype == torch.int64
    assert from_host([], torch.device('cpu'), torch.float32).dtype == torch.float32
    assert from_host(numbers, 'meta').device.type == 'meta'


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_numbers_of_the_host_do_not_wait_for_a_gpu():
    torch.cuda.set_sync_debug_mode('error')
    try:
        numbers = from_host([3, 1], 'cuda', torch.int64)
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert numbers.tolist() == [3, 1]


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
    assert resize_masks(logits, (2, 2)) is logits


def test_mask_pool_lets_no_gradient_through_the_mask():
    features = torch.rand(1, 2, 2, 2, requires_grad=True)
    logits = torch.ones(1, 1, 2, 2, requires_grad=True)
    mask_pool(features, logits).sum().backward()
    assert logits.grad is None
    torch.testing.assert_close(features.grad, torch.full((1, 2, 2, 2), 0.25))


ENSEMBLES = pytest.mark.parametrize(
    'ensemble', [geometric_ensemble, arithmetic_ensemble]
)


@pytest.mark.parametrize(('alpha', 'beta'), [(0.4, 0.8), (0.0, 1.0), (1.0, 0.0)])
def test_ensemble_is_the_weighted_product_or_sum_of_probabilities(seed, alpha, beta):
    trained, frozen = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    seen = torch.tensor([True, False, True, False])
    gamma = torch.tensor([alpha, beta, alpha, beta])
    p, q = trained.softmax(-1), frozen.softmax(-1)
    weights = dict(alpha=alpha, beta=beta)
    mixed = geometric_ensemble(trained, frozen, seen, **weights)
    torch.testing.assert_close(mixed, (p ** (1 - gamma) * q**gamma).log())
    mixed = arithmetic_ensemble(trained, frozen, seen, **weights)
    torch.testing.assert_close(mixed, (p * (1 - gamma) + q * gamma).log())


@ENSEMBLES
@pytest.mark.parametrize(('alpha', 'beta'), [(0.4, 0.8), (0.0, 1.0)])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_ensemble_is_finite_for_certain_scores_and_ignores_invalid_nan(
    ensemble, alpha, beta, dtype
):
    trained = torch.tensor([[[100.0, -100.0], [1.0, 2.0]]], dtype=dtype)
    frozen = torch.tensor([[[100.0, -100.0], [float('nan')] * 2]], dtype=dtype)
    mixed = ensemble(
        trained,
        frozen,
        torch.tensor([True, False]),
        alpha=alpha,
        beta=beta,
        valid=torch.tensor([[True, False]]),
    )
    assert mixed.isfinite().all()
    final = append_void(torch.cat([trained, trained[..., :1]], -1), mixed)
    assert final.isfinite().all()
    torch.testing.assert_close(mixed[0, 1], trained[0, 1].float().log_softmax(-1))


@ENSEMBLES
@pytest.mark.parametrize('bad', [dict(alpha=-0.1, beta=0.5), dict(alpha=0.5, beta=2)])
def test_ensemble_refuses_weights_outside_the_unit_interval(ensemble, bad):
    with pytest.raises(ValueError, match=r'\[0, 1\], got'):
        ensemble(torch.zeros(1), torch.zeros(1), torch.ones(1) > 0, **bad)


def test_void_keeps_its_trained_probability():
    trained = torch.tensor([[[0.0, 0.0, 0.0]]])
    final = append_void(trained, torch.tensor([[[0.0, -1e9]]])).exp()
    torch.testing.assert_close(final, torch.tensor([[[2 / 3, 0.0, 1 / 3]]]))
