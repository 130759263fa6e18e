"""Training steps on every device: precisions, gradients, one process over nccl.

``make test`` runs what a CPU can do; ``pytest -m gpu tests`` runs all on a GPU.
"""

import copy
import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from golden_utils import ROOT, load_module
from mmengine.optim import build_optim_wrapper

from mmovseg.analysis.profiling import build_model, random_text

EOVSEG, DEOP = 'eovseg_tiny_shapeworld', 'deop_tiny_shapeworld-zs'
WRAPPERS = ('OptimWrapper', 'mmovseg.BFloat16OptimWrapper', 'AmpOptimWrapper')


@pytest.fixture(scope='module')
def draw_batch():
    tool = load_module(ROOT / 'tools/analysis_tools/benchmark_train.py')

    def draw(model, device):
        args = SimpleNamespace(shape=(64, 96), targets=3, device=str(device))
        return tool.draw_batch(model, 2, args)

    return draw


@pytest.fixture(autouse=True)
def _same_points(monkeypatch):
    """Draw the points of the losses on the host: every device has its own numbers."""
    draw = torch.rand
    monkeypatch.setattr(
        torch,
        'rand',
        lambda *size, device=None, **rest: draw(*size, **rest).to(device or 'cpu'),
    )


def build_for_training(name, device):
    model = build_model(name, device=device).train()
    model.set_vocabulary(model.train_vocabulary)
    text = random_text(model)
    model.encode_vocabulary = lambda vocabulary: text
    return model


def losses(model, batch):
    batch = model.data_preprocessor(batch, training=True)
    return model.parse_losses(model(**batch, mode='loss'))[0]


@pytest.mark.parametrize('name', [EOVSEG, DEOP])
@pytest.mark.parametrize(
    ('device', 'kind'),
    [
        ('cpu', WRAPPERS[0]),
        ('cpu', WRAPPERS[1]),
        *(pytest.param('cuda', x, marks=pytest.mark.gpu) for x in WRAPPERS),
    ],
    indirect=['device'],
)
def test_a_step_changes_what_learns_and_nothing_else(
    name, kind, device, seed, draw_batch
):
    model = build_for_training(name, device)
    before = copy.deepcopy(dict(model.named_parameters()))
    config = copy.deepcopy(model.cfg.optim_wrapper)
    config.type = kind
    wrapper = build_optim_wrapper(model, config)
    batch = draw_batch(model, device)
    found = []
    # The first scale of a float16 loss may be too large, which skips a step.
    for _ in range(4 if kind == 'AmpOptimWrapper' else 1):
        with wrapper.optim_context(model):
            loss = losses(model, copy.deepcopy(batch))
        wrapper.update_params(loss)
        found.append(loss.item())
    assert all(torch.tensor(found).isfinite())
    changed, frozen = 0, 0
    for key, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32
        assert bool(parameter.isfinite().all()), key
        same = torch.equal(parameter, before[key])
        if parameter.requires_grad:
            changed += not same
        else:
            frozen += 1
            assert same, key
    assert changed and frozen


@pytest.mark.gpu
@pytest.mark.parametrize('name', [EOVSEG, DEOP])
def test_gradients_are_those_of_the_cpu(name, gpu, seed, draw_batch):
    found = {}
    model = build_for_training(name, 'cpu')
    state = model.state_dict()
    for device in ('cpu', gpu):
        torch.manual_seed(0)
        twin = build_for_training(name, device)
        twin.load_state_dict(state)
        torch.manual_seed(1)
        loss = losses(twin, draw_batch(twin, device))
        loss.backward()
        norms = {
            key: x.grad.double().norm().item()
            for key, x in twin.named_parameters()
            if x.grad is not None
        }
        found[str(device)] = loss.item(), norms
    (loss, norms), (other, others) = found['cpu'], found[str(gpu)]
    assert other == pytest.approx(loss, rel=1e-3)
    assert norms.keys() == others.keys()
    errors = torch.tensor([abs(others[key] / x - 1) for key, x in norms.items() if x])
    assert errors.median() < 1e-3  # a pixel of a hard mask may flip


@pytest.mark.gpu
def test_one_process_over_nccl(gpu, tmp_path):
    """The launcher, the script and DistributedDataParallel with frozen parts."""
    draw = ROOT / 'tools/dataset_converters/make_shapeworld.py'
    size = ['--num-train', '8', '--num-val', '2', '--image-size', '64']
    environ = dict(
        os.environ, PYTHON=sys.executable, PYTHONPATH=str(ROOT), MMOVSEG_DATA='.'
    )
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        environ['PORT'] = str(free.getsockname()[1])
    for command in (
        [sys.executable, draw, '--out', 'shapeworld', *size],
        [
            *(ROOT / 'tools/dist_train.sh', ROOT / f'configs/eovseg/{EOVSEG}.py', '1'),
            *('--amp', '--work-dir', 'run', '--cfg-options'),
            *('train_cfg.max_iters=3', 'train_cfg.val_interval=3'),
        ],
    ):
        done = subprocess.run(
            [str(x) for x in command],
            cwd=tmp_path,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-3000:]
    assert 'nccl' in done.stdout
    (log,) = (tmp_path / 'run').glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert entries and all(x.get('loss', 0) == x.get('loss', 0) for x in entries)
