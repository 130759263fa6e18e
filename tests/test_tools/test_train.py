"""The training script and its launcher, on the toy model of test_engine."""

import json
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'tests' / 'test_engine' / 'toy_config.py'


def run(*command, expect=0):
    """Run from another folder than the source tree, as a user may."""
    path = os.pathsep.join([str(CONFIG.parent), str(ROOT)])
    env = dict(os.environ, PYTHONPATH=path, PYTHON=sys.executable, OMP_NUM_THREADS='1')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        env['PORT'] = str(free.getsockname()[1])
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT.parent,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == expect, done.stdout[-3000:]
    return done.stdout


def logged(work_dir):
    """Return one dictionary of scalars per training step, in order of time."""
    entries = []
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        lines = path.read_text().splitlines()
        entries += [entry for entry in map(json.loads, lines) if 'loss' in entry]
    return entries


@pytest.fixture
def main(monkeypatch):
    """Run the training script in this process."""
    monkeypatch.syspath_prepend(str(CONFIG.parent))

    def main(*options):
        argv = ['train.py', str(CONFIG), *(str(option) for option in options)]
        monkeypatch.setattr(sys, 'argv', argv)
        runpy.run_path(str(ROOT / 'tools' / 'train.py'))['main']()

    return main


def test_train_in_bfloat16(tmp_path, main, monkeypatch):
    seen = []
    forward = torch.nn.Linear.forward

    def watch(self, x):
        out = forward(self, x)
        if self.training:  # the validation at the end is in float32
            seen.append((self.weight.dtype, out.dtype))
        return out

    monkeypatch.setattr(torch.nn.Linear, 'forward', watch)
    name = tmp_path.name  # of this test's own log
    options = ['train_cfg.max_iters=2', f'visualizer.name={name}']
    main('--amp', 'bf16', '--work-dir', tmp_path, '--cfg-options', *options)
    assert set(seen) == {(torch.float32, torch.bfloat16)}
    assert [entry['step'] for entry in logged(tmp_path)] == [1, 2]


@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
def test_amp_without_a_value_means_float16(tmp_path, main):
    with pytest.raises(SystemExit, match='--amp bf16'):
        main('--amp', '--work-dir', tmp_path)


@pytest.mark.slow
def test_train_writes_logs_and_checkpoints_then_resumes(tmp_path, main):
    options = ['--work-dir', tmp_path, '--cfg-options', 'train_cfg.max_iters=4']
    run(sys.executable, ROOT / 'tools' / 'train.py', CONFIG, *options)
    assert [entry['step'] for entry in logged(tmp_path)] == [1, 2, 3, 4]
    assert (tmp_path / 'iter_4.pth').is_file()

    options[-1] = 'train_cfg.max_iters=6'
    main('--resume', *options, f'visualizer.name={tmp_path.name}')
    assert [entry['step'] for entry in logged(tmp_path)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--resume', 'missing.pth'], r"there is no 'missing\.pth'"),
        (['--cfg-options', 'modle.x=1'], "Did you mean 'model'"),
        (['--cfg-options', 'train_cfg=None'], r'has no train_cfg.*tools/test\.py'),
        (['--cfg-options', 'auto_scale_lr=None', '--auto-scale-lr'], 'base_batch_size'),
    ],
)
def test_mistakes_end_with_one_line(main, options, message):
    with pytest.raises(SystemExit, match=message):
        main(*options)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
def test_dist_train_runs_on_a_cpu_and_scales_the_learning_rate(tmp_path):
    log = run(
        ROOT / 'tools' / 'dist_train.sh',
        CONFIG,
        2,
        '--work-dir',
        tmp_path,
        '--auto-scale-lr',
        '--cfg-options',
        'train_cfg.max_iters=5',
        # A batch of 2 × 6 is twice the config's base: twice its learning rate.
        'train_dataloader.batch_size=6',
    )
    assert 'sync_bn is ignored' in log
    assert 'Distributed training: True' in log
    assert 'GPU number: 2' in log
    entries = logged(tmp_path)
    assert [entry['step'] for entry in entries] == [1, 2, 3, 4, 5]
    assert entries[0]['lr'] == pytest.approx(0.02)


def test_scripts_without_arguments_explain_themselves():
    for name in ('dist_train', 'dist_test', 'slurm_train', 'slurm_test'):
        assert f'tools/{name}.sh ' in run(ROOT / 'tools' / f'{name}.sh', expect=2)


def test_slurm_scripts_ask_for_what_was_said(tmp_path, monkeypatch):
    """``srun`` is a script that prints what it was given."""
    (tmp_path / 'srun').write_text('#!/bin/sh\nprintf "%s\\n" "$MASTER_PORT" "$@"\n')
    (tmp_path / 'srun').chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}{os.pathsep}{os.environ["PATH"]}')
    for key, value in dict(GPUS=16, GPUS_PER_NODE=4, CPUS_PER_TASK=3).items():
        monkeypatch.setenv(key, str(value))
    monkeypatch.setenv('SRUN_ARGS', '--time=10 --qos=a')
    tools = ROOT / 'tools'
    words = run(tools / 'slurm_train.sh', 'long', 'name', 'a.py', 'out', '--amp')
    _, *words = words.splitlines()
    assert words == [
        *('-p', 'long', '--job-name=name', '--gres=gpu:4', '--ntasks=16'),
        *('--ntasks-per-node=4', '--cpus-per-task=3', '--kill-on-bad-exit=1'),
        *(
            '--time=10',
            '--qos=a',
            sys.executable,
            '-u',
            str(tools / 'train.py'),
            'a.py',
        ),
        *('--work-dir', 'out', '--launcher', 'slurm', '--amp'),
    ]
    words = run(tools / 'slurm_test.sh', 'long', 'name', 'a.py', 'a.pth').splitlines()
    assert words[-5:] == [
        str(tools / 'test.py'),
        'a.py',
        'a.pth',
        '--launcher',
        'slurm',
    ]
    assert '--gres=gpu:4' in words


@pytest.mark.parametrize('option', ['--resume', 'load_from'])
def test_weights_of_another_model_are_refused(tmp_path, main, option):
    options = ['--work-dir', tmp_path, '--cfg-options', 'train_cfg.max_iters=2']
    main(*options)
    path = tmp_path / 'iter_2.pth'
    checkpoint = torch.load(path, weights_only=False)
    state = checkpoint['state_dict']
    checkpoint['state_dict'] = {f'other.{key}': value for key, value in state.items()}
    torch.save(checkpoint, path)
    more = ['--resume', path] if option == '--resume' else [f'load_from={path}']
    arguments = [*more, *options] if option == '--resume' else [*options, *more]
    with pytest.raises(SystemExit, match='another model') as error:
        main(*arguments)
    assert 'other.' in str(error.value)


@pytest.mark.slow
def test_nothing_is_run_or_resumed_that_is_no_training(tmp_path, main):
    """A pickle in load_from, Python in a checkpoint's config, weights alone."""
    options = ['--work-dir', tmp_path, '--cfg-options', 'train_cfg.max_iters=2']
    main(*options)
    checkpoint = torch.load(tmp_path / 'iter_2.pth', weights_only=False)
    ran = tmp_path / 'ran'
    checkpoint['meta']['config'] = f'open({str(ran)!r}, "w")'
    torch.save(checkpoint, tmp_path / 'a.pth')
    main('--resume', tmp_path / 'a.pth', *options[:-1], 'train_cfg.max_iters=3')
    assert (tmp_path / 'iter_3.pth').is_file() and not ran.exists()
    checkpoint['more'] = torch.nn.Linear
    torch.save(checkpoint, tmp_path / 'a.pth')
    with pytest.raises(SystemExit, match=r'a\.pth is refused.*Linear'):
        main(*options, f'load_from={tmp_path / "a.pth"}')
    torch.save(checkpoint['state_dict'], tmp_path / 'a.pth')
    with pytest.raises(SystemExit, match=r'a\.pth holds weights.*--init-from'):
        main('--resume', tmp_path / 'a.pth', *options)


def test_a_folder_in_use_is_named(tmp_path, main):
    lock = ROOT / 'mmovseg/engine/work_dir_lock.py'
    script = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location('lock', {str(lock)!r})
lock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lock)
lock.lock_work_dir({str(tmp_path)!r})
print(flush=True)
sys.stdin.read()
"""
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with subprocess.Popen([sys.executable, '-c', script], **pipes) as other:
        other.stdout.readline()
        with pytest.raises(SystemExit, match=rf'in use.*process {other.pid} '):
            main('--work-dir', tmp_path)
        other.stdin.close()
    assert [path.name for path in tmp_path.iterdir()] == ['.train.lock']


def test_a_training_starts_from_another_one_unless_it_resumes(tmp_path, main, capsys):
    weight = torch.tensor([[3.0, -2.0]])
    torch.save({'layer.weight': weight, 'head.x': weight}, tmp_path / 'stage.pth')
    work_dir = tmp_path / 'work'
    options = ['--init-from', tmp_path / 'stage.pth', '--work-dir', work_dir]
    still = ['optim_wrapper.optimizer.lr=0', 'default_hooks.checkpoint.interval=1']
    # Loggers go by name and second: a test in the same second would have the log.
    still.append(f'experiment_name={tmp_path.name}')
    main(*options, '--cfg-options', 'train_cfg.max_iters=1', *still)
    state = torch.load(work_dir / 'iter_1.pth', weights_only=False)['state_dict']
    assert torch.equal(state['layer.weight'], weight)
    log = next(work_dir.glob('*/*.log')).read_text()
    assert f'layer: 1 from {tmp_path / "stage.pth"}, 1 as built' in log
    assert 'norm: 5 as built' in log

    checkpoint = torch.load(work_dir / 'iter_1.pth', weights_only=False)
    checkpoint['state_dict']['layer.weight'] += 1
    torch.save(checkpoint, work_dir / 'iter_1.pth')
    name = f'visualizer.name={tmp_path.name}'
    main(*options, '--resume', '--cfg-options', 'train_cfg.max_iters=2', name, *still)
    state = torch.load(work_dir / 'iter_2.pth', weights_only=False)['state_dict']
    assert torch.equal(state['layer.weight'], weight + 1)


@pytest.mark.parametrize(
    ('state', 'more', 'message'),
    [
        (
            {'layer.weight': (2, 2)},
            [],
            r'layer\.weight: \(2, 2\) in the file, \(1, 2\)',
        ),
        (
            {'stem.conv1.weight': (1,)},
            [],
            r'does not fit ToyModel(.|\n)*deop_to_mmovseg',
        ),
        ({'layer.weight': (1, 2)}, ['load_from=x.pth'], r"'x\.pth' is to be loaded"),
    ],
)
def test_weights_that_do_not_fit_start_nothing(tmp_path, main, state, more, message):
    state = {name: torch.zeros(shape) for name, shape in state.items()}
    torch.save(state, tmp_path / 'stage.pth')
    options = ['--init-from', tmp_path / 'stage.pth', '--work-dir', tmp_path]
    with pytest.raises(SystemExit, match=message):
        main(*options, '--cfg-options', 'train_cfg.max_iters=1', *more)
    with pytest.raises(SystemExit, match='nowhere'):
        main('--init-from', 'nowhere.pth', '--work-dir', tmp_path)
