"""The check of the names and shapes of weights finds what it is there for."""

import json

import pytest
import state_names
from torch import nn


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Return a function that records a model, in a folder of its own."""
    monkeypatch.setattr(state_names, 'FOLDER', tmp_path)
    monkeypatch.setattr(state_names, 'HASHES', tmp_path / 'hashes.json')

    def write(model, config):
        recorded = {state_names.digest(model): [config]}
        state_names.HASHES.write_text(json.dumps(recorded))
        lines = [config, *state_names.describe(model)]
        (tmp_path / 'Linear.txt').write_text('\n'.join(lines))

    return write


def test_the_same_model_passes_also_of_a_renamed_config(record):
    record(nn.Linear(2, 3), 'one')
    state_names.check(nn.Linear(2, 3), 'one')
    state_names.check(nn.Linear(2, 3), 'renamed')


@pytest.mark.parametrize('config', ['one', 'new'])
def test_other_shapes_or_names_are_shown(record, config):
    record(nn.Linear(2, 3), 'one')
    with pytest.raises(AssertionError, match=r'(?s)with one, 2 .*\n-weight 3x2\n\+wei'):
        state_names.check(nn.Linear(4, 3), config)
    with pytest.raises(AssertionError, match=r'\n-bias 3\nIf'):
        state_names.check(nn.Linear(2, 3, bias=False), config)


def test_a_config_may_not_take_the_names_of_another(record):
    record(nn.Linear(2, 3), 'one')
    two = state_names.load() | {state_names.digest(nn.Linear(4, 3)): ['two']}
    state_names.HASHES.write_text(json.dumps(two))
    with pytest.raises(AssertionError, match='weights of one'):
        state_names.check(nn.Linear(4, 3), 'one')
