"""A resumed run repeats an uninterrupted one, and its files survive a kill."""

import json
import os
import shutil
import sys
import uuid
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmovseg.engine import WorkDirError

HERE = Path(__file__).parent


class Killed(Exception):
    """Stands for a kill."""


class KillAt(Hook):
    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            raise Killed


@pytest.fixture(scope='module', autouse=True)
def _toy():
    """Let the config's custom_imports find toy.py."""
    sys.path.insert(0, str(HERE))
    yield
    sys.path.remove(str(HERE))


TOGETHER = dict(
    optim_wrapper=dict(
        type='BFloat16OptimWrapper', accumulative_counts=2, clip_grad=dict(max_norm=1)
    ),
    custom_hooks=[dict(type='EMAHook', momentum=0.1)],
)


def run(work_dir, num_workers=0, resume=False, kill_at=None, options=None):
    cfg = Config.fromfile(HERE / 'toy_config.py')
    cfg.merge_from_dict(options or {})
    cfg.work_dir = str(work_dir)
    cfg.resume = resume
    cfg.train_dataloader.num_workers = num_workers
    # MMEngine keeps one visualizer of a name per process, with its first folder.
    cfg.experiment_name = cfg.visualizer.name = uuid.uuid4().hex
    runner = Runner.from_cfg(cfg)
    if kill_at is not None:
        runner.register_hook(KillAt(kill_at))
    try:
        runner.train()
    except Killed:
        return None
    finally:
        # Left to the garbage collector, worker processes take ten seconds to end.
        runner.train_loop.dataloader_iterator = None
    return {name: value.clone() for name, value in runner.model.state_dict().items()}


def losses(work_dir):
    """Return the logged loss by step; a repeated step must repeat its value."""
    curve = {}
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if 'loss' in entry:
                step = entry['step']
                assert curve.setdefault(step, entry['loss']) == entry['loss']
    return curve


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Run all twelve iterations; return folder, loss curve and final weights."""
    work_dir = tmp_path_factory.mktemp('whole')
    weights = run(work_dir)
    curve = losses(work_dir)
    assert len(curve) == 12
    return work_dir, curve, weights


# The whole run has no workers, so this also says that their number does not matter.
@pytest.mark.slow
@pytest.mark.parametrize(('num_workers', 'kill_at'), [(0, 9), (2, 5)])
def test_resumed_run_equals_uninterrupted_run(tmp_path, whole, num_workers, kill_at):
    _, curve, weights = whole
    run(tmp_path, num_workers, kill_at=kill_at)
    resumed = run(tmp_path, num_workers, resume=True)
    assert losses(tmp_path) == curve
    for name, value in weights.items():
        assert torch.equal(value, resumed[name]), name


def test_accumulation_averages_and_bfloat16_resume_together(tmp_path):
    whole = run(tmp_path / 'whole', options=TOGETHER)
    run(tmp_path / 'cut', kill_at=9, options=TOGETHER)
    resumed = run(tmp_path / 'cut', resume=True, options=TOGETHER)
    assert losses(tmp_path / 'cut') == losses(tmp_path / 'whole')
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    last = [
        torch.load(tmp_path / name / 'iter_12.pth', weights_only=False)
        for name in ('whole', 'cut')
    ]
    for key in ('state_dict', 'ema_state_dict'):
        for name, value in last[0][key].items():
            assert torch.equal(value, last[1][key][name]), (key, name)
    # The averages are others than the weights, and every second step updates.
    average = last[0]['ema_state_dict']['module.layer.weight']
    assert not torch.equal(average, last[0]['state_dict']['layer.weight'])
    steps = last[0]['optimizer']['state'][0]['step']
    assert int(steps) == 6


def test_kill_while_writing_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    # The third checkpoint (iteration 12) is cut in half.
    replace = os.replace

    def killed(source, target):
        if 'iter_12' in str(target):
            with open(source, 'r+b') as file:
                file.truncate(100)
            raise Killed
        replace(source, target)

    monkeypatch.setattr(os, 'replace', killed)
    assert run(tmp_path) is None
    monkeypatch.undo()
    last = Path((tmp_path / 'last_checkpoint').read_text())
    assert last.name == 'iter_8.pth'
    assert torch.load(last, weights_only=False)['meta']['iter'] == 8
    assert run(tmp_path, resume=True) is not None
    assert {path.name for path in tmp_path.glob('iter_*')} == {'iter_12.pth'}


@pytest.mark.slow
def test_a_copied_folder_resumes_and_deletes_its_own_checkpoints(tmp_path):
    first, copy = tmp_path / 'first', tmp_path / 'copy'
    run(first, kill_at=9)
    shutil.copytree(first, copy)
    (copy / 'iter_8.pth').unlink()
    with pytest.raises(WorkDirError, match=r'iter_8\.pth.*not in .*copy'):
        run(copy, resume=True)
    checkpoint = torch.load(first / 'iter_8.pth', weights_only=False)
    checkpoint['state_dict']['layer.weight'] += 1
    torch.save(checkpoint, copy / 'iter_8.pth')
    before = (first / 'iter_8.pth').read_bytes()
    resumed = run(copy, resume=True)
    assert (first / 'iter_8.pth').read_bytes() == before
    assert Path((first / 'last_checkpoint').read_text()) == first / 'iter_8.pth'
    assert Path((copy / 'last_checkpoint').read_text()) == copy / 'iter_12.pth'
    assert not torch.equal(
        resumed['layer.weight'], run(first, resume=True)['layer.weight']
    )


def test_hook_keeps_the_newest_checkpoints(whole):
    work_dir, _, _ = whole
    assert [path.name for path in work_dir.glob('*.pth*')] == ['iter_12.pth']
    assert Path((work_dir / 'last_checkpoint').read_text()) == work_dir / 'iter_12.pth'
