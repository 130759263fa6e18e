"""Learning rates and decay of the recipes that others published."""

import math
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from torch import nn

import mmovseg.engine  # noqa: F401 (registers)

SCHEDULES = Path(__file__).resolve().parents[1] / 'configs/_base_/schedules'


def toy():
    """One module per rule, under the names of the models."""
    parts = {
        'proposals': {
            'backbone': nn.Conv2d(1, 1, 1),
            'norm': nn.GroupNorm(1, 1),
            'queries': nn.Embedding(1, 1),
            'mask_embed': nn.Linear(1, 1),
        },
        'head': {'queries': nn.Embedding(1, 1), 'norm1': nn.LayerNorm(1)},
        'text_classifier': {'void_embedding': nn.Embedding(1, 1)},
    }
    return nn.ModuleDict({name: nn.ModuleDict(part) for name, part in parts.items()})


def optimizer_of(config):
    init_default_scope('mmovseg')
    model = toy()
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = {
        names[id(parameter)]: group
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }
    return wrapper, groups


def rates(config, group):
    """Learning rate of a group in every iteration."""
    wrapper, groups = optimizer_of(config)
    schedulers = [
        PARAM_SCHEDULERS.build({**item, 'optimizer': wrapper})
        for item in config.param_scheduler
    ]
    values = []
    for _ in range(config.train_cfg.max_iters):
        values.append(groups[group]['lr'])
        wrapper.optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return values


def load(name, max_iters):
    """Shorten a schedule; its end follows from the file's own variable."""
    path = SCHEDULES / f'{name}.py'
    lines = path.read_text().splitlines()
    index = next(i for i, line in enumerate(lines) if line.startswith('max_iters ='))
    lines[index] = f'max_iters = {max_iters}'
    return Config.fromstring('\n'.join(lines), '.py')


def test_prompt_rate_is_a_cosine_with_a_low_start():
    config = load('deop_prompt_16k', 400)
    expected = [
        0.01 * (1 + math.cos(math.pi * i / 400)) * (0.005 if i < 100 else 1)
        for i in range(400)
    ]
    assert rates(config, 'head.queries.weight') == pytest.approx(expected)


@pytest.mark.parametrize(
    ('name', 'rate'), [('deop_proposals_60k', 1e-4), ('deop_60k', 2e-4)]
)
def test_poly_rate_goes_to_zero(name, rate):
    expected = [rate * (1 - i / 200) ** 0.9 for i in range(200)]
    config = load(name, 200)
    assert rates(config, 'proposals.mask_embed.weight') == pytest.approx(expected)


def test_proposals_groups():
    _, groups = optimizer_of(load('deop_proposals_60k', 60_000))
    assert groups['proposals.backbone.weight']['lr'] == pytest.approx(1e-5)
    assert groups['proposals.backbone.weight']['weight_decay'] == 1e-4
    for name in ('proposals.norm.weight', 'proposals.queries.weight'):
        assert groups[name]['weight_decay'] == 0
        assert groups[name]['lr'] == 1e-4
    for name in (
        'proposals.mask_embed.weight',
        'text_classifier.void_embedding.weight',
    ):
        assert groups[name]['weight_decay'] == 1e-4


def test_deop_groups():
    _, groups = optimizer_of(load('deop_60k', 60_000))
    assert {group['lr'] for group in groups.values()} == {2e-4}
    for name in ('head.queries.weight', 'head.norm1.weight'):
        assert groups[name]['weight_decay'] == 0
    assert groups['text_classifier.void_embedding.weight']['weight_decay'] == 1e-4


@pytest.mark.parametrize(
    ('name', 'iterations', 'batch'),
    [
        ('deop_prompt_16k', 16_000, 32),
        ('deop_proposals_60k', 60_000, 32),
        ('deop_60k', 60_000, 16),
    ],
)
def test_published_lengths(name, iterations, batch):
    config = Config.fromfile(SCHEDULES / f'{name}.py')
    assert config.train_cfg.max_iters == iterations
    assert config.auto_scale_lr.base_batch_size == batch
    assert {item['end'] for item in config.param_scheduler} <= {
        iterations,
        iterations + 1,
        101,
    }
    assert config.optim_wrapper.clip_grad.max_norm == 0.01
