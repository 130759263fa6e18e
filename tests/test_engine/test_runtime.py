"""Configs with mistakes, checkpoints with code, machines without a GPU."""

import os
import pickle

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from mmovseg.engine.runtime import adapt_to_device, load_config, load_local_checkpoint


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('clip = 1\nmodel = dict(type="M", width=2)\ntrain_cfg = dict()\n')
    return str(path)


def test_options_override_values(config):
    cfg = load_config(config, {'model.width': 3, 'load_from': 'x.pth'})
    assert (cfg.model.width, cfg.load_from, cfg.clip) == (3, 'x.pth', 1)


def test_missing_config_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no config .*missing\.py'):
        load_config(str(tmp_path / 'missing.py'))


def test_option_of_unknown_key_is_refused(config):
    with pytest.raises(KeyError, match=r"no key 'modle'.* Did you mean 'model'"):
        load_config(config, {'modle.width': 3})


def test_misspelt_top_level_key_is_refused(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('model = dict()\ntrian_dataloader = dict()\n')
    with pytest.raises(ValueError, match="Did you mean 'train_dataloader'"):
        load_config(str(path))


class Code:
    def __reduce__(self):
        return os.mkdir, ('executed',)


@pytest.mark.parametrize('protocol', ['zip', 'pickle'])
def test_checkpoint_with_code_is_refused(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    checkpoint = {'state_dict': {}, 'meta': Code()}
    if protocol == 'zip':
        torch.save(checkpoint, 'bad.pth')
    else:
        (tmp_path / 'bad.pth').write_bytes(pickle.dumps(checkpoint))
    with pytest.raises(ValueError, match=r'refused|damaged'):
        load_local_checkpoint('bad.pth')
    assert not (tmp_path / 'executed').exists()


def test_truncated_and_missing_checkpoints_are_named(tmp_path):
    path = tmp_path / 'cut.pth'
    torch.save({'state_dict': {'a': torch.zeros(1000)}}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r'cut\.pth is damaged'):
        load_local_checkpoint(path)
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        load_local_checkpoint(tmp_path / 'missing.pth')


def test_what_a_runner_saves_is_accepted(tmp_path):
    history = HistoryBuffer()
    history.update(1.5)
    torch.save({'message_hub': {'log_scalars': {'loss': history}}}, tmp_path / 'ok.pth')
    loaded = load_local_checkpoint(tmp_path / 'ok.pth')
    assert loaded['message_hub']['log_scalars']['loss'].current() == 1.5


@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
def test_mixed_precision_needs_a_gpu():
    with pytest.raises(ValueError, match='needs a GPU'):
        adapt_to_device(Config(dict(optim_wrapper=dict(type='AmpOptimWrapper'))))


@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
def test_launcher_without_its_variables_is_explained(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(ValueError, match=r"'RANK'.*dist_\*\.sh"):
        adapt_to_device(Config(dict(launcher='pytorch')))
