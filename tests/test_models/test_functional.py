import pytest
import torch

from mmovseg.models.functional import (
    append_void,
    arithmetic_ensemble,
    geometric_ensemble,
)

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
