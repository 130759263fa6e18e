"""Losses, assignments and gradients of the official FC-CLIP (R50), one step."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_utils import (
    RecordedRandom,
    fcclip_converter,
    fcclip_state_dict,
    without_clip_weights,
)
from mmengine.config import Config
from mmengine.structures import BaseDataElement, InstanceData

from mmovseg.models.structures import TextEmbeddings
from mmovseg.models.targets import collect_targets
from mmovseg.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def golden(shared):
    return np.load(shared / 'golden' / 'fcclip_r50_train.npz')


@pytest.fixture(scope='module')
def step(golden, pytestconfig):
    """Run one training forward and backward; return model, losses, draws, stages."""
    path = pytestconfig.rootpath / 'configs/_base_/models/fcclip_r50.py'
    model = MODELS.build(without_clip_weights(path))
    parts = ('backbone', 'neck', 'decoder', 'text_classifier.void')
    model.load_state_dict(fcclip_state_dict('r50', prefixes=parts), strict=False)
    model.train()
    rows = torch.from_numpy(golden['text_classifier'])

    def text_classifier(vocabulary):
        void = F.normalize(model.text_classifier.void_embedding.weight, dim=-1)
        ids = torch.tensor([*vocabulary.class_ids, 133])
        return TextEmbeddings(torch.cat([rows, void]), ids, 133)

    samples = []
    for index in range(2):
        sample = BaseDataElement()
        sample.gt_instances = InstanceData(
            labels=torch.from_numpy(golden[f'labels{index}']),
            masks=torch.from_numpy(golden[f'masks{index}']),
        )
        samples.append(sample)
    images = torch.from_numpy(golden['images']).permute(0, 3, 1, 2).flip(1)
    inputs = model.data_preprocessor(dict(inputs=list(images)))['inputs']
    random, kept = RecordedRandom(), {}
    targets = collect_targets(samples, model.train_vocabulary, inputs.shape[-2:])

    def segment(*args):
        kept['stages'] = type(model).segment(model, *args)
        return kept['stages']

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, 'rand', random)
        patch.setattr(model.text_classifier, 'forward', text_classifier)
        patch.setattr(model, 'segment', segment)
        losses = model(inputs, samples, mode='loss')
        sum(losses.values()).backward()
    return model, losses, random, kept['stages'], targets


def test_random_draws_come_in_the_recorded_order(golden, step):
    assert [list(s) for s in step[2].shapes] == golden['rand_shapes'].tolist()


def test_losses(golden, step):
    losses = step[1]
    recorded = dict(zip(golden['loss_names'].tolist(), golden['losses'], strict=True))
    assert len(losses) == len(recorded) == 30
    for name, value in losses.items():
        stage, kind = name.removeprefix('s').split('_', 1)
        official = kind if stage == '9' else f'{kind}_{stage}'
        assert value.item() == pytest.approx(float(recorded[official]), rel=2e-4), name
    total = sum(losses.values()).item()
    assert total == pytest.approx(float(golden['total']), rel=2e-5)


def test_assignments(golden, step):
    model, _, _, stages, targets = step
    random = RecordedRandom()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, 'rand', random)
        for order, index in enumerate([9, *range(9)]):
            pairs = model.criterion.match(stages[index], targets)
            for image, (queries, segments) in enumerate(pairs):
                expected = golden[f'l{index}/match{image}'].T.tolist()
                assert torch.stack([queries, segments], 1).tolist() == expected
            for shape in golden['rand_shapes'][4 * order + 2 : 4 * order + 4]:
                random(tuple(shape))  # the loss draws between two predictions


def test_gradient_norms(golden, step):
    parameters = dict(step[0].named_parameters())
    errors = []
    for name, expected in zip(golden['grad_names'], golden['grad_norms'], strict=True):
        norm = parameters.pop(fcclip_converter.rename(str(name))).grad.norm().item()
        if expected > 1e-3:
            errors.append(abs(norm / expected - 1))
        else:
            assert norm < 2e-3, name
    assert np.quantile(errors, 0.9) < 1e-3
    assert max(errors) < 1e-2
    assert all(parameter.grad is None for parameter in parameters.values())


def test_weight_decay(golden, step, pytestconfig):
    path = pytestconfig.rootpath / 'configs/_base_/schedules/fcclip_50ep.py'
    config = Config.fromfile(path).optim_wrapper
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.get(config.pop('constructor'))
    wrapper = constructor(config, config.pop('paramwise_cfg'))(step[0])
    decays = {
        id(parameter): group['weight_decay']
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }
    parameters = dict(step[0].named_parameters())
    for name, decay in zip(golden['grad_names'], golden['weight_decay'], strict=True):
        found = decays[id(parameters[fcclip_converter.rename(str(name))])]
        assert (found > 0) == (decay > 0), name
