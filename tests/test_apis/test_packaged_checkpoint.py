"""The checkpoints that come with the package do what is said of them."""

import importlib
import json

import pytest

from mmovseg.apis import find_model
from mmovseg.shapeworld.drawing import THINGS


@pytest.mark.parametrize('name', ['tiny', 'tiny-eovseg'])
def test_it_is_small(name):
    assert find_model(name).file.stat().st_size <= 5e6


@pytest.mark.slow
@pytest.mark.parametrize('name', ['tiny', 'tiny-eovseg'])
def test_evaluation_repeats_the_shipped_figures(name):
    model = find_model(name)
    shipped = json.loads(model.file.with_name('metrics.json').read_text())
    tool = importlib.import_module('projects.shapeworld.evaluate_checkpoint')
    found = tool.evaluate(str(model.file), shipped['data'], model.config)
    assert set(found) == set(shipped['metrics'])
    for key, value in found.items():
        # Hard masks amplify the rounding of other processors.
        tolerance = 0.01 if key.startswith('instance/') else 0.5
        assert value == pytest.approx(shipped['metrics'][key], abs=tolerance), key
    # Right masks with names at random would have 100 / 48.
    assert found['panoptic/PQ_unseen'] > 3 * 100 / len(THINGS)
