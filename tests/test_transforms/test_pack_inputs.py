"""What the model gets is what mmdet's and mmseg's transforms give it."""

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import PackDetInputs
from mmseg.datasets.transforms import PackSegInputs

from mmovseg.transforms import PackInputs


def results(**more):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return dict(img=image, img_id=3, ori_shape=(5, 7), img_shape=(5, 7), **more)


@pytest.mark.parametrize('theirs', [PackDetInputs, PackSegInputs])
def test_image_and_metainfo_are_theirs(theirs):
    keys = ('img_id', 'ori_shape', 'img_shape', 'scale_factor')
    own, other = PackInputs(keys)(results()), theirs(keys)(results())
    assert torch.equal(own['inputs'], other['inputs'])
    assert own['inputs'].is_contiguous()
    assert own['data_samples'].metainfo == other['data_samples'].metainfo


def test_label_map_is_that_of_mmdet_and_mmseg():
    label_map = np.arange(35, dtype=np.int32).reshape(5, 7)
    given = dict(gt_seg_map=label_map, ignore_index=65535)
    own = PackInputs()(results(**given))['data_samples'].gt_sem_seg
    other = PackDetInputs()(results(**given))['data_samples'].gt_sem_seg
    assert torch.equal(own.sem_seg, other.sem_seg)
    assert own.sem_seg.dtype == other.sem_seg.dtype
    assert own.metainfo == other.metainfo == dict(ignore_index=65535)
    theirs = PackSegInputs()(results(**given))['data_samples'].gt_sem_seg
    assert torch.equal(own.data.long(), theirs.data)


def test_instances_are_refused():
    with pytest.raises(ValueError, match=r'not gt_masks: take .*PackDetInputs'):
        PackInputs()(results(gt_masks=[]))
