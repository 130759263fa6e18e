"""Our ResNet is mmseg's, which is only used to compare."""

import pytest
import torch

from mmovseg.models.backbones import ResNetV1c
from mmovseg.registry import MODELS

SMALL = dict(stem_channels=8, base_channels=4)
CASES = {
    'basic-gn': dict(depth=18, norm_cfg=dict(type='GN', num_groups=2)),
    'bottleneck': dict(depth=50),
    'deop': dict(
        depth=50,
        multi_grid=(1, 2, 4),
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        zero_init_residual=False,
    ),
    'frozen': dict(depth=50, frozen_stages=1, out_indices=(1, 3)),
}


@pytest.mark.ops
@pytest.mark.parametrize('case', CASES)
def test_weights_names_modes_and_numbers_are_those_of_mmseg(case):
    models = []
    for scope in ('mmseg', 'mmovseg'):
        torch.manual_seed(0)
        config = dict(type=f'{scope}.ResNetV1c', **SMALL, **CASES[case])
        model = MODELS.build(config)
        model.init_weights()
        model.train()
        models.append(model)
    theirs, own = models
    assert list(theirs.state_dict()) == list(own.state_dict())
    for name, value in theirs.state_dict().items():
        assert torch.equal(value, own.state_dict()[name]), name
    for name, parameter in theirs.named_parameters():
        assert own.get_parameter(name).requires_grad == parameter.requires_grad, name
    trained = {name for name, module in theirs.named_modules() if module.training}
    assert {name for name, module in own.named_modules() if module.training} == trained
    images = torch.randn(2, 3, 64, 96)
    for expected, found in zip(theirs(images), own(images), strict=True):
        assert torch.equal(found, expected)


def test_frozen_parts_stay_frozen_and_out_indices_choose(seed):
    model = ResNetV1c(**SMALL, **CASES['frozen']).train()
    assert not any(p.requires_grad for p in model.stem.parameters())
    assert not any(p.requires_grad for p in model.layer1.parameters())
    assert all(p.requires_grad for p in model.layer2.parameters())
    assert not model.stem.training and not model.layer1.training
    assert model.layer2.training
    maps = model(torch.randn(1, 3, 64, 64))
    assert tuple(x.shape[1] for x in maps) == model.out_channels == (32, 128)
    assert tuple(64 // x.shape[-1] for x in maps) == model.strides == (8, 32)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(depth=20), 'depth must be one of'),
        (dict(depth=18, norm_cfg=dict(type='LN')), "norm_cfg.type .* got 'LN'"),
        (dict(depth=18, out_indices=(4,)), 'out_indices are some of 0 to 3'),
        (dict(depth=18, multi_grid=(1,)), 'has 2 blocks, multi_grid'),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        ResNetV1c(**SMALL, **options)


def test_a_misspelt_key_of_a_norm_is_named():
    with pytest.raises(ValueError, match=r"norm_cfg=.*'requires_grade'"):
        ResNetV1c(18, norm_cfg=dict(type='BN', requires_grade=False))
