"""Configs with mistakes, machines without a GPU, checkpoints with code."""

import os
import platform
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mmovseg.apis.runtime import adapt_to_device, load_run_config, use_safe_checkpoints


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('model = dict(type="mmdet.M", width=2)\ntrain_cfg = dict()\n')
    return str(path)


def test_options_override_values(config):
    cfg = load_run_config(config, {'model.width': 3, 'load_from': 'x.pth'})
    assert (cfg.model.width, cfg.load_from) == (3, 'x.pth')


def test_option_of_unknown_key_is_refused(config):
    with pytest.raises(ValueError, match=r"modle\.width.* Did you mean 'model'"):
        load_run_config(config, {'modle.width': 3})


FAULTS = """
import resource, torch
from mmovseg.apis.runtime import keep_freed_memory
keep_freed_memory()
torch.ones(2 ** 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    torch.ones(2 ** 24)  # 16384 pages
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='of glibc alone')
@pytest.mark.skipif(torch.cuda.is_available(), reason='of a CPU alone')
def test_freed_memory_serves_the_next_tensors():
    program = [sys.executable, '-c', FAULTS]
    found = subprocess.run(program, capture_output=True, text=True, check=True)
    assert int(found.stdout) <= 2 * 16384  # 8 * 16384 without it


class Code:
    def __reduce__(self):
        return os.mkdir, ('executed',)


def test_runner_does_not_execute_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    torch.save({'state_dict': {}, 'meta': Code()}, 'bad.pth')
    use_safe_checkpoints()
    with pytest.raises(ValueError, match='refused'):
        CheckpointLoader.load_checkpoint('bad.pth')
    assert not (tmp_path / 'executed').exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
def test_float16_needs_a_gpu_and_bfloat16_none():
    with pytest.raises(ValueError, match=r'needs a GPU; .*--amp bf16'):
        adapt_to_device(Config(dict(optim_wrapper=dict(type='AmpOptimWrapper'))))
    cfg = Config(dict(optim_wrapper=dict(type='mmovseg.BFloat16OptimWrapper')))
    adapt_to_device(cfg)
    assert cfg.optim_wrapper.type == 'mmovseg.BFloat16OptimWrapper'


@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
def test_launcher_without_its_variables_is_explained(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(ValueError, match=r"'RANK'.*dist_\*\.sh"):
        adapt_to_device(Config(dict(launcher='pytorch')))
