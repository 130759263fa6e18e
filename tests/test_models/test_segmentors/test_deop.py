import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.structures import BaseDataElement, PixelData
from torch import nn

from mmovseg.registry import MODELS

CONFIG = 'configs/_base_/models/deop_tiny.py'


@pytest.fixture
def build(pytestconfig, seed):
    def build(**changes):
        whole = Config.fromfile(pytestconfig.rootpath / CONFIG)
        whole.merge_from_dict({f'model.{k}': v for k, v in changes.items()})
        config = whole.model
        config.train_vocabulary = ['red; crimson', 'green', 'blue']
        config.test_vocabulary = ['green', 'purple']
        config.text_classifier.cache_dir = None
        return MODELS.build(config)

    return build


@pytest.fixture
def images(seed):
    return torch.randn(2, 3, 64, 96)


def samples(count, size=(64, 96)):
    labels = torch.zeros(1, *size, dtype=torch.long)
    labels[:, :, 40:] = 2
    labels[:, 50:] = 255
    return [
        BaseDataElement(
            gt_sem_seg=PixelData(data=labels), metainfo=dict(img_shape=size)
        )
        for _ in range(count)
    ]


@torch.no_grad()
def test_parts_are_put_together_as_the_paper_says(build, images):
    model = build().eval()
    text = model.text_classifier(model.vocabulary)
    (prediction,) = model.segment(images, text)
    masks = model.proposals(images)[-1].mask_logits
    features = model.backbone(images, masks)
    regions, heatmaps = model.head(features, masks)
    expected = 100 * F.normalize(regions, dim=-1) @ text.weight.T
    assert prediction.class_logits.shape == (2, 20, 3)
    torch.testing.assert_close(prediction.class_logits, expected)
    assert torch.equal(prediction.mask_logits, masks)
    assert torch.equal(prediction.heatmaps, heatmaps)


@torch.no_grad()
def test_a_batch_equals_its_images(build, images):
    model = build().eval()
    together = model(images)
    for index, image in enumerate(images):
        alone = model(image[None])
        for one, other in zip(together[:3], alone[:3], strict=True):
            torch.testing.assert_close(one[index], other[0], atol=1e-3, rtol=1e-3)


def test_prompts_head_and_void_learn_and_nothing_else(build, images):
    model = build().train()
    losses = model(images, samples(2), mode='loss')
    assert set(losses) == {'loss_focal', 'loss_dice'}
    sum(losses.values()).backward()
    trained = {k for k, p in model.named_parameters() if p.grad is not None}
    assert all(model.get_parameter(name).requires_grad for name in trained)
    parts = {'.'.join(name.split('.')[:2]) for name in trained}
    assert parts == {
        'backbone.visual_prompt',
        'head.queries',
        'head.layers',
        'head.output',
        'text_classifier.prompt_learner',
        'text_classifier.void_embedding',
    }
    untrained = {k for k, p in model.named_parameters() if p.requires_grad} - trained
    assert not untrained  # they would stop distributed training


def test_batch_norms_of_the_proposals_keep_their_statistics(build, images):
    norm = {'proposals.backbone.norm_cfg': dict(type='BN', _delete_=True)}
    model = build(**norm).train()
    norms = [m for m in model.proposals.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    before = [m.running_mean.clone() for m in norms]
    model(images, samples(2), mode='loss')
    for old, module in zip(before, norms, strict=True):
        assert torch.equal(module.running_mean, old)


def test_a_prompt_frozen_by_config_does_not_learn(build):
    learner = {'text_classifier.prompt_learner.frozen': True}
    model = build(**learner, **{'backbone.visual_prompt.frozen': True})
    trained = {k.split('.')[0] for k, p in model.named_parameters() if p.requires_grad}
    assert trained == {'head', 'text_classifier'}
    assert not model.text_classifier.prompt_learner.prefix.requires_grad


@torch.no_grad()
def test_results_and_a_new_vocabulary(build, images):
    model = build().eval()
    results = model(images, samples(2), mode='predict')
    assert results[0].pred_sem_seg.data.shape == (1, 64, 96)
    model.set_vocabulary(['red circle', 'stuff: grass', 'stuff: sky'])
    results = model(images, samples(2), mode='predict')
    assert len(results[0].pred_sem_seg.metainfo['label_names']) == 3


def test_towers_of_different_width_are_refused(build):
    with pytest.raises(
        ValueError, match=r'regions in 64 channels, the text .* in 1024'
    ):
        changes = dict(model_name='RN50', pretrained=None)
        build(**{f'text_classifier.{key}': value for key, value in changes.items()})
