from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmovseg.models.targets import collect_targets
from mmovseg.vocabulary import Vocabulary

# The vocabulary fixture: 0 dog (thing), 1 grass (stuff), 2 kite (thing).
MAP = [[1, 1, 0], [255, 2, 2]]


class Bitmaps:
    """Stand-in for mmdet's BitmapMasks, which MMEngine does not move to a device."""

    def __init__(self, masks):
        self.masks = np.asarray(masks, dtype=np.uint8)

    def __len__(self):
        return len(self.masks)

    def to_tensor(self, dtype, device):
        return torch.tensor(self.masks, dtype=dtype, device=device)


def det_sample(labels, masks, sem_seg=None, **metainfo):
    sample = BaseDataElement(metainfo=metainfo)
    masks = np.asarray(masks, dtype=np.uint8).reshape(len(labels), 2, 3)
    sample.gt_instances = InstanceData(
        labels=torch.tensor(labels, dtype=torch.int64), masks=Bitmaps(masks)
    )
    if sem_seg is not None:
        sem_seg = torch.tensor([sem_seg], dtype=torch.uint8)
        sample.gt_sem_seg = PixelData(sem_seg=sem_seg)
    return sample


def seg_sample(label_map, dtype=torch.int64, **metainfo):
    data = torch.tensor([label_map], dtype=dtype)
    return BaseDataElement(
        gt_sem_seg=PixelData(data=data, metainfo=metainfo), metainfo=dict()
    )


def test_things_come_first_as_given_then_stuff_ascending():
    vocabulary = Vocabulary(
        tuple((name,) for name in 'abcde'), (False, True, False, True, False)
    )
    first, second = [[1, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 1]]
    sample = det_sample([3, 1], [first, second], [[3, 4, 4], [2, 2, 1]])
    [target] = collect_targets([sample], vocabulary, (2, 3))
    assert target.labels.tolist() == [3, 1, 2, 4]
    assert target.labels.dtype == torch.int64 and target.masks.dtype == torch.bool
    expected = [first, second, [[0, 0, 0], [1, 1, 0]], [[0, 1, 1], [0, 0, 0]]]
    assert target.masks.int().tolist() == expected


def test_a_crowd_is_no_target(vocabulary):
    """Class 2 colors the map without an instance, as mmdet packs crowds."""
    sample = det_sample([0], [[[0, 0, 1], [0, 0, 0]]], MAP)
    sample.ignored_instances = InstanceData(
        labels=torch.tensor([2]), masks=Bitmaps([[[0, 0, 0], [0, 1, 1]]])
    )
    [target] = collect_targets([sample], vocabulary, (2, 3))
    assert target.labels.tolist() == [0, 1]


def test_a_semantic_sample_has_a_target_per_class(vocabulary):
    [target] = collect_targets([seg_sample(MAP)], vocabulary, (2, 3))
    assert target.labels.tolist() == [0, 1, 2]
    expected = [[[0, 0, 1], [0] * 3], [[1, 1, 0], [0] * 3], [[0] * 3, [0, 1, 1]]]
    assert target.masks.int().tolist() == expected


def test_instances_without_fields_mean_a_semantic_sample(vocabulary):
    """mmdet packs an empty InstanceData when boxes and masks are not loaded."""
    sample = BaseDataElement(
        gt_instances=InstanceData(),
        gt_sem_seg=PixelData(sem_seg=torch.tensor([MAP], dtype=torch.uint8)),
    )
    [target] = collect_targets([sample], vocabulary, (2, 3))
    assert target.labels.tolist() == [0, 1, 2]


def test_instances_alone_are_enough(vocabulary):
    """Without a map also classes that are stuff may come as instances."""
    sample = det_sample([1, 2], np.eye(2, 6))
    [target] = collect_targets([sample], vocabulary, (2, 3))
    assert target.labels.tolist() == [1, 2]


def test_masks_are_padded_right_and_bottom_per_image(vocabulary):
    samples = [
        det_sample([2], np.ones((1, 6)), MAP, img_shape=(2, 3)),
        seg_sample([[0, 1]]),
    ]
    first, second = collect_targets(samples, vocabulary, torch.Size([4, 5]))
    assert first.masks.shape == (2, 4, 5) and second.masks.shape == (2, 4, 5)
    assert first.masks[0].nonzero().tolist() == [
        [y, x] for y in (0, 1) for x in range(3)
    ]
    assert first.masks[1].nonzero().tolist() == [[0, 0], [0, 1]]
    assert second.masks.nonzero().tolist() == [[0, 0, 0], [1, 0, 1]]


@pytest.mark.parametrize(
    'sample',
    [
        det_sample([], []),
        det_sample([], [], [[255, 255, 2], [0, 0, 0]]),
        seg_sample([[255, 255], [3, -1]]),
    ],
)
def test_an_image_may_have_no_target(vocabulary, sample):
    [target] = collect_targets([sample], vocabulary, (4, 4))
    assert target.labels.shape == (0,) and target.labels.dtype == torch.int64
    assert target.masks.shape == (0, 4, 4) and target.masks.dtype == torch.bool


def test_empty_masks_stay_targets(vocabulary):
    """As in the reference: a segment outside the crop keeps its place."""
    [target] = collect_targets([det_sample([0], np.zeros(6))], vocabulary, (2, 3))
    assert target.labels.tolist() == [0] and not target.masks.any()


@pytest.mark.parametrize('dtype', [torch.int16, torch.int32, torch.int64])
def test_more_than_255_classes(dtype):
    names = tuple((f'class {i}',) for i in range(1000))
    vocabulary = Vocabulary(names, (False,) * 1000)
    sample = seg_sample([[999, 255, 256], [0, 1000, 30000]], dtype)
    [target] = collect_targets([sample], vocabulary, (2, 3))
    assert target.labels.tolist() == [0, 255, 256, 999]
    assert target.masks.flatten(1).int().argmax(1).tolist() == [3, 1, 2, 0]


def test_a_uint8_map_of_more_than_255_classes():
    """The void index 300 does not fit into the map's own type."""
    vocabulary = Vocabulary(tuple((f'class {i}',) for i in range(300)), (False,) * 300)
    sample = seg_sample([[7, 254, 255]], torch.uint8, ignore_index=255)
    [target] = collect_targets([sample], vocabulary, (1, 3))
    assert target.labels.tolist() == [7, 254]


def test_a_declared_ignore_index_is_no_target(vocabulary):
    sample = seg_sample(MAP, ignore_index=1)
    [target] = collect_targets([sample], vocabulary, (2, 3))
    assert target.labels.tolist() == [0, 2]


def test_plain_arrays_and_tensors_are_masks_too(vocabulary):
    for masks in (np.ones((1, 2, 3), np.uint8), torch.ones(1, 2, 3)):
        instances = SimpleNamespace(labels=torch.tensor([0]), masks=masks)
        sample = SimpleNamespace(gt_instances=instances)
        [target] = collect_targets([sample], vocabulary, (2, 3))
        assert target.masks.dtype == torch.bool and target.masks.all()


@pytest.mark.parametrize('label', [3, -1, 255])
def test_a_foreign_label_is_refused(vocabulary, label):
    sample = det_sample([0, label], np.ones((2, 6)), img_path='photo.jpg')
    message = rf'photo\.jpg.*label {label} .*\[0, 3\).*train_vocabulary disagree'
    with pytest.raises(ValueError, match=message):
        collect_targets([sample], vocabulary, (2, 3))


def test_instances_of_a_stuff_class_beside_a_map_are_refused(vocabulary):
    sample = det_sample([1], np.ones((1, 6)), MAP)
    with pytest.raises(ValueError, match=r"'grass'.*stuff in train_vocabulary"):
        collect_targets([sample], vocabulary, (2, 3))


@pytest.mark.parametrize(
    'sample', [det_sample([0], np.ones((1, 6))), seg_sample([[0, 0, 0], [1, 1, 1]])]
)
@pytest.mark.parametrize('size', [(1, 9), (9, 2)])
def test_masks_larger_than_the_batch_are_refused(vocabulary, sample, size):
    with pytest.raises(ValueError, match=r'\(2, 3\), larger than the padded batch'):
        collect_targets([sample], vocabulary, size)


def test_masks_of_another_size_than_the_image_are_refused(vocabulary):
    sample = det_sample([0], np.ones((1, 6)), img_shape=(4, 6))
    with pytest.raises(ValueError, match=r'\(2, 3\), but the image is \(4, 6\)'):
        collect_targets([sample], vocabulary, (32, 32))
    # Masks that the preprocessor has padded already are larger than the image.
    sample = det_sample([0], np.ones((1, 6)), img_shape=(1, 2))
    assert collect_targets([sample], vocabulary, (2, 3))[0].masks.all()


def test_a_sample_without_ground_truth_is_refused(vocabulary):
    with pytest.raises(ValueError, match=r'Image 1 .*neither gt_instances nor'):
        collect_targets([seg_sample(MAP), BaseDataElement()], vocabulary, (2, 3))


def test_instances_need_one_mask_per_label(vocabulary):
    sample = BaseDataElement(gt_instances=InstanceData(labels=torch.tensor([0])))
    with pytest.raises(ValueError, match='with_mask=True'):
        collect_targets([sample], vocabulary, (2, 3))
    instances = SimpleNamespace(labels=torch.tensor([0]), masks=torch.ones(2, 2, 3))
    sample = SimpleNamespace(gt_instances=instances)
    with pytest.raises(ValueError, match='1 labels'):
        collect_targets([sample], vocabulary, (2, 3))


def test_a_map_of_several_channels_is_refused(vocabulary):
    sample = SimpleNamespace(gt_sem_seg=SimpleNamespace(data=torch.zeros(3, 2, 3)))
    with pytest.raises(ValueError, match=r'got \[3, 2, 3\]'):
        collect_targets([sample], vocabulary, (2, 3))


def test_the_classes_of_mmdet_and_mmseg_are_understood(vocabulary):
    pytest.importorskip('mmdet')
    pytest.importorskip('mmseg')
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks, PolygonMasks
    from mmseg.structures import SegDataSample

    box = np.array([0.0, 0, 3, 0, 3, 2, 0, 2])
    bitmap = BitmapMasks(np.ones((1, 2, 3), np.uint8), 2, 3)
    for masks in (bitmap, PolygonMasks([[box]], 2, 3)):
        sample = DetDataSample(metainfo=dict(img_shape=(2, 3)))
        sample.gt_instances = InstanceData(labels=torch.tensor([0]), masks=masks)
        sample.gt_sem_seg = PixelData(sem_seg=torch.tensor([MAP], dtype=torch.uint8))
        [target] = collect_targets([sample], vocabulary, (2, 3))
        assert target.labels.tolist() == [0, 1] and target.masks[0].all()
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.tensor([MAP])))
    [target] = collect_targets([sample], vocabulary, (2, 3))
    assert target.labels.tolist() == [0, 1, 2]
