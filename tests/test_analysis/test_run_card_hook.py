import json
import os
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmovseg.analysis import run_card_hook
from mmovseg.analysis.run_card_hook import RunCardHook, collect_conventions
from mmovseg.apis.fast_mode import FastExecution, FastMode
from mmovseg.evaluation import MaskRecallMetric, SemanticMetric


class Model(nn.Module):
    """Takes a second for preprocessing and two for the rest."""

    def __init__(self, clock):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.data_preprocessor = Preprocessor(clock)
        self.clock = clock

    def forward(self, batch):
        self.clock.now += 2
        return batch

    def test_step(self, batch):
        return self(self.data_preprocessor(batch))


class Preprocessor(nn.Module):
    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def forward(self, batch):
        self.clock.now += 1
        return batch


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(run_card_hook.time, 'perf_counter', lambda: clock.now)
    return clock


def evaluate(tmp_path, clock, batches, metrics):
    """Do what MMEngine's test loop does; return the card."""
    (tmp_path / 'weights.pth').write_bytes(b'1234')
    hook = RunCardHook(
        str(tmp_path / 'weights.pth'),
        config='deop_tiny',
        config_hash='abc',
        options={'test_cfg.fp16': True},
    )
    dataset = [image for batch in batches for image in batch]
    loader = SimpleNamespace(dataset=dataset, batch_size=len(batches[0]))
    loader = type('Loader', (SimpleNamespace,), {'__len__': lambda _: len(batches)})(
        **vars(loader)
    )
    runner = SimpleNamespace(
        model=Model(clock),
        test_dataloader=loader,
        test_evaluator=SimpleNamespace(metrics=[SemanticMetric()]),
        test_loop=SimpleNamespace(fp16=False),
        work_dir=str(tmp_path / 'work'),
    )
    hook.before_test(runner)
    for index, batch in enumerate(batches):
        clock.now += 100  # reading images
        outputs = runner.model.test_step(batch)
        clock.now += 10  # metrics
        hook.after_test_iter(runner, index, batch, outputs)
    hook.after_test_epoch(runner, metrics=metrics)
    assert not runner.model._forward_hooks
    assert os.listdir(tmp_path / 'work') == ['results.json']
    return json.loads((tmp_path / 'work' / 'results.json').read_text())


def test_model_time_is_without_warmup_reading_and_metrics(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(run_card_hook.time, 'process_time', lambda: 2 * clock.now)
    batches = [[0, 1]] * 5 + [[0, 1], [0, 1], [0]]
    metrics = {'semantic/mIoU': 12.5, 'semantic/hIoU': float('nan')}
    card = evaluate(tmp_path, clock, batches, metrics)
    assert card['fps'] == {
        'images_per_second': pytest.approx(5 / 9),
        'processor_ms_per_image': pytest.approx(2 * 9000 / 5),
        'images': 5,
        'warmup_batches': 5,
        'batch_size': 2,
        'dtype': 'float32',
        'device': 'cpu',
        'fast': [],
        'plain': False,
    }
    assert card['images'] == 15 and card['seconds'] == 8 * 113
    assert card['metrics'] == {'semantic/mIoU': 12.5, 'semantic/hIoU': None}
    assert set(card['conventions']) == {'semantic/mIoU', 'semantic/hIoU'}
    assert card['config'] == {
        'name': 'deop_tiny',
        'options': {'test_cfg.fp16': True},
        'sha256': 'abc',
    }
    assert card['checkpoint']['bytes'] == 4
    assert card['model'] == {'type': 'Model', 'parameters': 2}


@pytest.mark.parametrize(('count', 'timed'), [(1, 1), (2, 1), (6, 1), (7, 2)])
def test_short_runs_are_timed_too(tmp_path, clock, count, timed):
    card = evaluate(tmp_path, clock, [[0]] * count, {})
    assert card['fps']['images'] == timed
    assert card['fps']['images_per_second'] == pytest.approx(1 / 3)


def test_batches_of_a_shape_that_is_compiled_do_not_count(tmp_path, clock, monkeypatch):
    forward = Model.forward

    def compiled(model, batch):
        execution = FastExecution(FastMode(), dynamic=False)
        runs = model.__dict__.setdefault('execution', execution).compiled_runs
        runs[len(batch)] += 1
        clock.now += 50 * (runs[len(batch)] == 1)
        return forward(model, batch)

    monkeypatch.setattr(Model, 'forward', compiled)
    batches = [[0, 1]] * 6 + [[0]] * 2 + [[0, 1]]
    card = evaluate(tmp_path, clock, batches, {})
    assert card['fps']['images'] == 2 + 1 + 2
    assert card['fps']['images_per_second'] == pytest.approx(5 / 9)
    assert card['fps']['warmup_batches'] == 6
    card = evaluate(tmp_path, clock, [[0, 1], [0]], {})
    assert card['fps']['images_per_second'] is None


def test_conventions_are_those_of_the_reported_numbers():
    recall = MaskRecallMetric(iou_thrs=(0.3,), prefix='proposals')
    names = {'proposals/recall_30': 1.0, 'x/mIoU': 2.0, 'semantic/mIoU': 3.0}
    found = collect_conventions([recall, SemanticMetric(prefix='x'), object()], names)
    assert list(found) == ['proposals/recall_30', 'x/mIoU']
    assert '0.3 IoU' in found['proposals/recall_30']
    assert found['x/mIoU'].startswith('mean over annotated classes')
