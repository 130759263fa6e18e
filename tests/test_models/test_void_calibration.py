import pytest
import torch

from mmovseg.models import ArithmeticEnsemble, GeometricEnsemble

ALPHA = dict(alpha=0.4, beta=0.8)


@pytest.fixture
def scores(seed):
    trained, clip = torch.randn(2, 5, 4), 4 * torch.randn(2, 5, 3)
    seen = torch.tensor([True, False, True])
    return trained, clip, seen, torch.ones(2, 5, dtype=torch.bool)


@pytest.mark.parametrize('kind', [GeometricEnsemble, ArithmeticEnsemble])
def test_what_clip_is_sure_of_is_hardly_void(scores, kind):
    plain = kind(**ALPHA)(*scores).exp()
    found = kind(**ALPHA, void_gamma=0.5)(*scores).exp()
    sure = scores[1].softmax(-1).amax(-1)
    void = plain[..., -1] * (1 - 0.5 * sure)
    torch.testing.assert_close(found[..., -1], void)
    shares = [x[..., :-1] / x[..., :-1].sum(-1, keepdim=True) for x in (plain, found)]
    torch.testing.assert_close(*shares)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 5), atol=1e-5, rtol=0)


def test_void_of_a_mask_that_clip_cannot_see_stays(scores):
    *rest, valid = scores
    valid[0, 1] = False
    plain = GeometricEnsemble(**ALPHA, valid_only=True)(*rest, valid)
    found = GeometricEnsemble(**ALPHA, valid_only=True, void_gamma=1.0)(*rest, valid)
    torch.testing.assert_close(found[0, 1], plain[0, 1])
    assert (found[0, 0, -1] < plain[0, 0, -1]).all()


def test_odds_of_void_have_a_factor(scores):
    plain = GeometricEnsemble(**ALPHA)(*scores).exp()[..., -1]
    found = GeometricEnsemble(**ALPHA, void_scale=0.25)(*scores).exp()[..., -1]
    odds = [x / (1 - x) for x in (plain, found)]
    torch.testing.assert_close(odds[1], 0.25 * odds[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    'bad', [dict(void_gamma=1.1), dict(void_gamma=-0.1), dict(void_scale=0.0)]
)
def test_wrong_values(bad):
    [[name, _]] = bad.items()
    with pytest.raises(ValueError, match=f'ensemble.{name} must be'):
        GeometricEnsemble(**ALPHA, **bad)
