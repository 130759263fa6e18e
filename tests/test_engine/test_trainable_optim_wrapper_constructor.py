"""The groups are MMEngine's own; frozen modules are not mentioned."""

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmovseg.engine import TrainableOptimWrapperConstructor

WRAPPER = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.05)
)
PARAMWISE = dict(norm_decay_mult=0.0, custom_keys={'queries': dict(decay_mult=0.0)})


def build_model():
    model = nn.ModuleDict(
        {
            'tower': nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)),
            'head': nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)),
            'queries': nn.Embedding(3, 2),
        }
    )
    model['tower'].requires_grad_(False)
    return model


def test_groups_equal_those_of_mmengine(caplog):
    model = build_model()
    ours = TrainableOptimWrapperConstructor(WRAPPER, PARAMWISE)(model)
    theirs = DefaultOptimWrapperConstructor(WRAPPER, PARAMWISE)(model)
    names = {id(value): name for name, value in model.named_parameters()}

    def decay(wrapper):
        return {
            names[id(parameter)]: group['weight_decay']
            for group in wrapper.optimizer.param_groups
            for parameter in group['params']
            if id(parameter) in names
        }

    assert decay(ours) == decay(theirs)
    assert decay(ours) == {
        'head.0.weight': 0.05,
        'head.0.bias': 0.05,
        'head.1.weight': 0.0,
        'head.1.bias': 0.0,
        'queries.weight': 0.0,
    }


def test_frozen_modules_are_passed_over(monkeypatch):
    from mmengine.optim.optimizer import default_constructor

    said = []
    monkeypatch.setattr(
        default_constructor, 'print_log', lambda message, **_: said.append(message)
    )
    TrainableOptimWrapperConstructor(WRAPPER, PARAMWISE)(build_model())
    assert said and not [message for message in said if 'skipped' in message]
