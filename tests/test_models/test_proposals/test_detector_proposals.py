"""The best masks of a detector, whatever the detector is."""

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.structures import BaseDataElement, InstanceData
from torch import nn

from mmovseg.models.proposals import DetectorProposals
from mmovseg.registry import MODELS

INSIDE = 10.0


@MODELS.register_module(force=True)
class GivenDetector(BaseModule):
    """Finds three squares in the first image and nothing in others."""

    def __init__(self, *, boxes_only=False):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.boxes_only = boxes_only

    def predict(self, images, samples, rescale):
        assert rescale is False
        self.norm(images)  # in training mode its statistics would change
        height, width = samples[0].metainfo['batch_input_shape']
        masks = torch.zeros(3, height, width, dtype=torch.bool)
        masks[0, :8, :8] = True
        masks[1, 8:16, 8:18] = True  # half of the third column of stride 4
        masks[2, 16:, :] = True
        for index, sample in enumerate(samples):
            count = 3 if index == 0 else 0
            scores = torch.tensor([0.2, 0.9, 0.5])[:count]
            sample.pred_instances = InstanceData(scores=scores)
            if not self.boxes_only:
                sample.pred_instances.masks = masks[:count]
        return samples


def make(number, **changes):
    detector = dict(type='GivenDetector', _scope_='mmovseg', **changes)
    return MODELS.build(
        dict(type='DetectorProposals', detector=detector, num_proposals=number)
    )


def test_the_best_masks_come_first_and_others_are_empty(seed):
    images = torch.randn(2, 3, 32, 64)
    [found] = make(4)(images)
    assert found.region_embeds is None
    assert found.mask_logits.shape == (2, 4, 8, 16)
    first = torch.full((8, 16), -INSIDE)
    first[2:4, 2:4], first[2:4, 4] = INSIDE, 0.0  # half covered
    second = torch.full((8, 16), -INSIDE)
    second[4:] = INSIDE
    third = torch.full((8, 16), -INSIDE)
    third[:2, :2] = INSIDE
    empty = torch.full((8, 16), -INSIDE)
    expected = torch.stack([first, second, third, empty])
    torch.testing.assert_close(found.mask_logits[0], expected)
    assert torch.equal(found.mask_logits[1], empty.expand(4, -1, -1))
    [less] = make(2)(images)
    torch.testing.assert_close(less.mask_logits[0], expected[:2])


def test_it_is_frozen_and_keeps_its_statistics(seed):
    proposals = make(2).train()
    assert not any(p.requires_grad for p in proposals.parameters())
    proposals(torch.randn(2, 3, 32, 64) + 5)
    assert proposals.detector.norm.running_mean.eq(0).all()


def test_boxes_and_numbers_below_one_are_refused(seed):
    with pytest.raises(ValueError, match='GivenDetector finds boxes without masks'):
        make(2, boxes_only=True)(torch.randn(1, 3, 32, 64))
    with pytest.raises(ValueError, match='num_proposals must be at least 1, got 0'):
        make(0)


def test_deop_names_what_a_detector_finds(seed):
    clip = dict(model_name='tiny-vit')
    model = MODELS.build(
        dict(
            type='DeOP',
            proposals=dict(
                type='DetectorProposals',
                detector=dict(type='GivenDetector', _scope_='mmovseg'),
                num_proposals=5,
            ),
            backbone=dict(type='DenseCLIPViT', **clip),
            head=dict(type='CALHead', num_queries=5),
            text_classifier=dict(type='TextClassifier', templates=['a {}'], **clip),
            criterion=dict(type='SemanticMapLoss'),
            fusion=dict(type='MaskFusion', panoptic=False, instance=False),
            train_vocabulary=['dog', 'cat', 'grass'],
        )
    ).train()
    assert isinstance(model.proposals, DetectorProposals)
    labels = torch.randint(0, 3, (1, 32, 64))
    sample = BaseDataElement(metainfo=dict(img_shape=(32, 64), ori_shape=(32, 64)))
    sample.gt_sem_seg = BaseDataElement(sem_seg=labels)
    images = torch.randn(1, 3, 32, 64)
    sum(model.loss(images, [sample]).values()).backward()
    assert model.head.queries.weight.grad.any()
    [found] = model.eval().predict(images, [sample])
    assert found.pred_sem_seg.sem_seg.shape == (1, 32, 64)
