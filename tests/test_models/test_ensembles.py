"""Ensembles of class scores against their formulas."""

import pytest
import torch

from mmovseg.models.ensembles import (
    ArithmeticEnsemble,
    CropEnsemble,
    GeometricEnsemble,
    build_ensemble,
    with_void,
)

SEEN = torch.tensor([True, False, True, False])
BOTH = pytest.mark.parametrize('kind', [GeometricEnsemble, ArithmeticEnsemble])


@pytest.mark.parametrize(('alpha', 'beta'), [(0.4, 0.8), (0.0, 1.0), (1.0, 0.0)])
def test_mix_is_the_weighted_product_or_sum_of_probabilities(seed, alpha, beta):
    trained, frozen = torch.randn(2, 2, 3, 4).log_softmax(-1)
    w = torch.tensor([alpha, beta, alpha, beta])
    p, q = trained.exp(), frozen.exp()
    mixed = GeometricEnsemble(alpha, beta).mix(trained, frozen, SEEN)
    torch.testing.assert_close(mixed, (p ** (1 - w) * q**w).log())
    mixed = ArithmeticEnsemble(alpha, beta).mix(trained, frozen, SEEN)
    torch.testing.assert_close(mixed, (p * (1 - w) + q * w).log())


@BOTH
def test_classes_share_what_void_leaves(seed, kind):
    logits, clip = torch.randn(2, 3, 5), torch.randn(2, 3, 4)
    ensemble = kind(0.4, 0.8)
    probs = ensemble(logits, clip, SEEN, torch.zeros(2, 3, dtype=torch.bool)).exp()
    torch.testing.assert_close(probs[..., -1], logits.softmax(-1)[..., -1])
    torch.testing.assert_close(probs.sum(-1), torch.ones(2, 3))
    mixed = ensemble.mix(
        logits[..., :-1].log_softmax(-1), clip.log_softmax(-1), SEEN
    ).exp()
    shares = mixed / mixed.sum(-1, keepdim=True)
    classes = probs[..., :-1] / probs[..., :-1].sum(-1, keepdim=True)
    torch.testing.assert_close(classes, shares)


@BOTH
@pytest.mark.parametrize(('alpha', 'beta'), [(0.4, 0.8), (0.0, 1.0)])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_certain_scores_stay_finite_and_invalid_masks_trained(kind, alpha, beta, dtype):
    logits = torch.tensor([[[100.0, -100.0, 0.0], [1.0, 2.0, 3.0]]], dtype=dtype)
    clip = torch.tensor([[[100.0, -100.0], [float('nan')] * 2]], dtype=dtype)
    valid = torch.tensor([[True, False]])
    ensemble = kind(alpha, beta, valid_only=True)
    mixed = ensemble(logits, clip, SEEN[:2], valid)
    assert mixed.dtype == torch.float32
    assert mixed.isfinite().all()
    torch.testing.assert_close(mixed[0, 1], logits[0, 1].float().log_softmax(-1))
    everywhere = kind(alpha, beta)(logits, clip, SEEN[:2], valid)
    assert everywhere[0, 1].isnan().any()


@BOTH
@pytest.mark.parametrize(
    ('alpha', 'beta', 'name'), [(-0.1, 0.5, 'alpha'), (0.5, 2, 'beta')]
)
def test_weights_outside_the_unit_interval_are_refused(kind, alpha, beta, name):
    with pytest.raises(ValueError, match=rf'ensemble\.{name} must be in \[0, 1\], got'):
        kind(alpha, beta)


@pytest.mark.parametrize('use_seen', [True, False])
@pytest.mark.parametrize('valid_only', [True, False])
def test_crops_count_with_the_rest_of_the_weight(seed, use_seen, valid_only):
    logits, clip = torch.randn(3, 5), torch.randn(3, 4)
    valid = torch.tensor([True, False, True])
    ensemble = CropEnsemble(0.7, use_seen, valid_only=valid_only)
    mixed = ensemble(logits, clip, SEEN, valid)
    p, q = logits.softmax(-1), clip.softmax(-1)
    for n in range(3):
        for k in range(4):
            w = 0.3 if use_seen and SEEN[k] else 0.7
            crop = q[n, k] if valid[n] else 1
            score = p[n, k] ** (1 - w) * crop**w
            if valid_only and not valid[n]:
                score = torch.tensor(0.0)
            ratio = (mixed[n, k].exp() / mixed[0, 0].exp()).item()
            first = p[0, 0] ** (0.7 if use_seen else 0.3)
            first = first * q[0, 0] ** (0.3 if use_seen else 0.7)
            assert ratio == pytest.approx((score / first).item(), rel=1e-4)


@pytest.mark.parametrize('weight', [0, 1.5])
def test_a_weight_that_leaves_nothing_is_refused(weight):
    with pytest.raises(ValueError, match=rf'in \(0, 1\], got {weight}; ensemble=None'):
        CropEnsemble(weight)


def test_void_takes_what_one_divisor_leaves():
    scores = torch.tensor([[0.5, 0.25], [1.5, 0.5], [0.0, 0.0]])
    probs = with_void(scores.log()).exp()
    expected = torch.tensor([[0.25, 0.125, 0.625], [0.75, 0.25, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(probs, expected)
    probs = with_void(scores[::2].log()).softmax(-1)  # no sum above 1: no divisor
    expected = torch.tensor([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(probs, expected)


def test_configs_of_earlier_versions_are_read_or_corrected():
    built = build_ensemble(dict(alpha=0.1, beta=0.2), 'GeometricEnsemble')
    assert (type(built), built.alpha, built.beta) == (GeometricEnsemble, 0.1, 0.2)
    assert build_ensemble(None, 'GeometricEnsemble') is None
    with pytest.raises(ValueError, match=r"kind='arithmetic' has become.*'Arithmetic"):
        build_ensemble(dict(alpha=0.1, beta=0.2, kind='arithmetic'), 'CropEnsemble')
