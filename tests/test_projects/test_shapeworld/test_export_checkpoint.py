"""A checkpoint made small, and loaded again."""

import importlib

import pytest
import torch

from mmovseg.apis import init_model, read_checkpoint
from mmovseg.apis.config import packaged_towers

CONFIG = 'eovseg_tiny_shapeworld'


@pytest.fixture(scope='module')
def tool():
    return importlib.import_module('projects.shapeworld.export_checkpoint')


@pytest.fixture(scope='module')
def trained():
    """A model, the names of its trained weights and of its packaged ones."""
    torch.manual_seed(0)
    model = init_model(CONFIG)
    learned = [name for name, p in model.named_parameters() if p.requires_grad]
    towers = packaged_towers(model.cfg.model)
    packaged = [name for name in model.state_dict() if name.startswith(towers)]
    return model, learned, packaged


def save(model, path):
    optimizer = dict(state={0: torch.zeros(9)})
    torch.save(dict(state_dict=model.state_dict(), optimizer=optimizer, meta={}), path)


def test_what_was_trained_is_kept_and_what_is_packaged_is_not(tool, trained, tmp_path):
    model, learned, packaged = trained
    assert learned and packaged and not set(learned) & set(packaged)
    source, target = tmp_path / 'iter_3.pth', tmp_path / 'new' / 'small.safetensors'
    save(model, source)
    tool.main([str(source), str(target)])
    assert list(target.parent.iterdir()) == [target]
    weights, state = read_checkpoint(target), model.state_dict()
    assert set(weights) == set(state) - set(packaged)
    for name, value in weights.items():
        if value.is_floating_point() and value.ndim:
            assert torch.equal(value, state[name].half()), name
        else:
            assert torch.equal(value, state[name]), name
    assert {weights[name].dtype for name in learned} == {torch.float16, torch.float32}
    torch.manual_seed(1)
    again = init_model(CONFIG, target)
    for name, value in again.state_dict().items():
        assert value.dtype == state[name].dtype
        expected = weights[name].to(value.dtype) if name in weights else state[name]
        assert torch.equal(value, expected), name


def test_towers_of_another_training_are_kept(tool, trained, tmp_path):
    model, _, packaged = trained
    name = next(x for x in packaged if x.endswith('.weight'))
    state = {key: value.clone() for key, value in model.state_dict().items()}
    state[name] += 1
    torch.save(state, tmp_path / 'a.pth')
    target = tmp_path / 'small.safetensors'
    tool.main([str(tmp_path / 'a.pth'), str(target)])
    assert torch.equal(read_checkpoint(target)[name], state[name].half())


def test_mistakes_are_explained(tool, trained, tmp_path, capsys):
    source = tmp_path / 'a.pth'
    with pytest.raises(SystemExit):
        tool.main([str(source), str(tmp_path / 'small.pth')])
    assert 'must end with .safetensors' in capsys.readouterr().err
    target = tmp_path / 'small.safetensors'
    with pytest.raises(SystemExit, match=r'a\.pth does not exist'):
        tool.main([str(source), str(target)])
    name = 'text_classifier.void_embedding.weight'
    state = trained[0].state_dict()
    state[name] = torch.full_like(state[name], 1e6)
    torch.save(state, source)
    with pytest.raises(SystemExit, match=rf'{name} does not fit .*: .* 1e\+06'):
        tool.main([str(source), str(target)])
    assert not target.exists()
