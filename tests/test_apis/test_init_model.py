"""Building models for inference."""

import copy
import socket
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

import mmovseg
from mmovseg.apis import init_model, make_fast
from mmovseg.apis.checkpoint import PACKAGED
from mmovseg.models import EOVSeg
from mmovseg.models.ops.dispatch import takes_fast

TINY = Path(mmovseg.__file__).parents[1] / 'configs/_base_/models/eovseg_tiny.py'


@pytest.fixture(scope='module')
def tiny_config():
    cfg = Config.fromfile(TINY)
    cfg.model.train_vocabulary = ['cat', 'grass']
    return cfg


@pytest.fixture(scope='module')
def checkpoint(tiny_config, tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp('init') / 'tiny.pth'
    torch.save(dict(state_dict=init_model(tiny_config).state_dict(), meta={}), path)
    return path


def test_checkpoint_is_loaded_without_downloads(tiny_config, checkpoint, monkeypatch):
    """The config names weights that do not exist; they are not even looked for."""
    monkeypatch.setattr(socket.socket, 'connect', lambda *args: 1 / 0)
    cfg = copy.deepcopy(tiny_config)
    for part in ('backbone', 'text_classifier', 'spatial_backbone'):
        cfg.model[part].pretrained = 'missing/file.pt'
    torch.manual_seed(2)
    model = init_model(cfg, checkpoint, device='cpu')
    assert isinstance(model, EOVSeg)
    assert not model.training
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert model.cfg.model.backbone.pretrained == 'missing/file.pt'
    with pytest.raises(FileNotFoundError, match=r'missing/file\.pt'):
        init_model(cfg)


def test_text_tower_may_be_missing_only_if_said_so(tiny_config, checkpoint, tmp_path):
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    slim = {k: v for k, v in state.items() if not k.startswith('text_classifier.clip.')}
    assert len(slim) < len(state)
    torch.save(slim, tmp_path / 'slim.pth')
    cfg = copy.deepcopy(tiny_config)
    cfg.model.text_classifier.pretrained = None
    with pytest.raises(ValueError, match=r'missing in the file.*\n.*text_classifier'):
        init_model(cfg, tmp_path / 'slim.pth')
    allowed = ['text_classifier.clip.']
    init_model(cfg, tmp_path / 'slim.pth', allow_missing=allowed)
    # A random text tower would be useless: the component's own weights are needed.
    cfg.model.text_classifier.pretrained = 'missing/file.pt'
    with pytest.raises(FileNotFoundError, match=r'missing/file\.pt'):
        init_model(cfg, tmp_path / 'slim.pth', allow_missing=allowed)


def test_packaged_towers_may_be_missing(tiny_config, checkpoint, tmp_path):
    """And nothing else: not the void row beside the text tower."""
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    towers = ('text_classifier.clip.', 'backbone.')
    slim = {k: v for k, v in state.items() if not k.startswith(towers)}
    torch.save(slim, tmp_path / 'slim.pth')
    torch.manual_seed(2)
    model = init_model(tiny_config, tmp_path / 'slim.pth')
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    del slim['text_classifier.void_embedding.weight']
    torch.save(slim, tmp_path / 'slim.pth')
    with pytest.raises(ValueError, match=r'missing in the file \(1\).*\n.*void'):
        init_model(tiny_config, tmp_path / 'slim.pth')


def test_packaged_checkpoint(tiny_config, checkpoint, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"'shapeworld' is not in.*missing\.st"):
        monkeypatch.setitem(PACKAGED, 'shapeworld', Path('missing.st'))
        init_model(tiny_config, 'shapeworld')
    monkeypatch.setitem(PACKAGED, 'shapeworld', checkpoint)
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    name = 'text_classifier.void_embedding.weight'
    weights = init_model(tiny_config, 'shapeworld').state_dict()
    assert torch.equal(weights[name], state[name])


def test_another_architecture_is_refused(tiny_config, checkpoint):
    options = {'model.neck.hidden_channels': 32, 'model.decoder.num_stages': 3}
    with pytest.raises(ValueError, match='another model') as error:
        init_model(tiny_config, checkpoint, cfg_options=options)
    assert 'other shape' in str(error.value)
    assert 'neck.' in str(error.value)
    assert 'missing in the file' in str(error.value)


def test_misspelt_key_is_named(tiny_config):
    with pytest.raises(ValueError, match=r"model\.neck\.hiden_channels.*'hidden_"):
        init_model(tiny_config, cfg_options={'model.neck.hiden_channels': 32})


def test_a_filter_that_a_model_cannot_have_is_refused_at_once():
    options = {'model.presence_filter.num_names': 5}
    with pytest.raises(ValueError, match='SimBaseline cannot leave out names'):
        init_model('simbaseline_tiny_shapeworld-zs', cfg_options=options)


@torch.no_grad()
def test_a_plain_model_runs_formulas_in_its_own_calls_alone(tiny_config):
    model = init_model(tiny_config, plain=True)
    other = init_model(tiny_config)
    seen = []
    for x in (model, other):
        x.neck.register_forward_hook(
            lambda _, __, output: seen.append(takes_fast(output))
        )
        x(torch.zeros(1, 3, 64, 64))
    assert seen == [False, True]
    with pytest.raises(ValueError, match='EOVSeg is in plain form'):
        make_fast(model, ['resize'])
