"""mmovseg.analysis.explain against the formula of the ensemble and the results."""

import numpy as np
import pytest

from mmovseg.analysis.explain import draw_explanations, explain
from mmovseg.apis import OVSegInferencer
from mmovseg.models.ensembles import GeometricEnsemble
from mmovseg.shapeworld.drawing import draw_numbered

NAMES = ['red circle', 'blue square', 'green star; star', 'stuff: grass', 'stuff: snow']


@pytest.fixture(scope='module')
def inferencer():
    return OVSegInferencer('eovseg_tiny_shapeworld', 'shapeworld', show_progress=False)


@pytest.fixture(scope='module')
def photo():
    return draw_numbered(20, 'val', 0).image[..., ::-1].copy()


def test_shares_follow_the_formula(inferencer, photo):
    before = vars(inferencer.model).copy(), dict(inferencer.model._modules)
    result, found = explain(inferencer, photo, nearest=58)
    assert (vars(inferencer.model), dict(inferencer.model._modules)) == before
    assert isinstance(inferencer.model.ensemble, GeometricEnsemble)
    assert len(found) >= 3
    for explanation in found:
        names = explanation.nearest
        assert len(names) == 58
        rows = [(x.trained, x.clip or 0, x.clip_weight, x.score) for x in names]
        trained, clip, weight, score = np.array(rows).T
        assert trained.sum() == pytest.approx(1, abs=1e-4)
        looked = names[0].clip is not None
        assert clip.sum() == pytest.approx(float(looked), abs=1e-4)
        seen = np.array([x.seen for x in names])
        assert np.allclose(weight, np.where(seen, 0.6, 1.0) * looked)
        mixed = trained ** (1 - weight) * clip**weight
        expected = mixed / mixed.sum() * (1 - explanation.void)
        assert np.allclose(score, expected, atol=1e-4)
        # The class of a segment is the best of its mask, and has its score.
        assert names[0].name == explanation.segment.name
        assert names[0].score == pytest.approx(explanation.segment.score, abs=1e-5)
        assert (result.label_map == explanation.segment.id).any()


def test_own_names_and_the_drawing(inferencer, photo):
    result, found = explain(inferencer, photo, vocabulary=NAMES, nearest=2)
    assert found
    assert all(len(x.nearest) == 2 for x in found)
    assert inferencer.model.vocabulary.names != tuple(NAMES)
    assert found[0].segment.name in str(found[0])
    drawn = draw_explanations(result, found)
    assert drawn.dtype == np.uint8
    assert drawn.shape[2] == 3
    assert drawn.std() > 0


def test_mistakes(inferencer, photo):
    with pytest.raises(ValueError, match='nearest must be at least 1, got 0'):
        explain(inferencer, photo, nearest=0)
    with pytest.raises(ValueError, match='takes one photo, got 2'):
        explain(inferencer, [photo, photo])
    with pytest.raises(ValueError, match='no segment to explain'):
        draw_explanations(None, [])
