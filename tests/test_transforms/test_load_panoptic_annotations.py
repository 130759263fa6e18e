import json

import mmcv
import numpy as np
import pytest
from panoptic_files import dataset_config, segment, write_dataset

from mmovseg.datasets import PanopticDataset
from mmovseg.formats.panoptic_format import id_to_rgb
from mmovseg.registry import DATASETS

LOAD = [
    {'type': 'mmovseg.LoadImageFromFile'},
    {'type': 'mmovseg.LoadPanopticAnnotations'},
]
# Void, a wall (stuff, label 0), a dog, a crowd of dogs with a big id, a kite's pixel.
IDS = [
    [0, 5, 5, 5],
    [5, 6, 6, 70000],
    [5, 6, 9, 70000],
]


def segments():
    return [
        segment(5, 7),
        segment(70000, 3, iscrowd=1),
        segment(9, 12),
        segment(6, 3),
    ]


def test_hand_drawn_image(tmp_path):
    write_dataset(tmp_path, {'a': (IDS, segments())})
    results = PanopticDataset(**dataset_config(tmp_path, LOAD))[0]
    assert results['gt_bboxes_labels'].tolist() == [3, 1]  # in the JSON's order
    assert results['gt_bboxes_labels'].dtype == np.int64
    # The JSON's boxes are all (0, 0, 1, 1); the masks know better.
    assert results['gt_bboxes'].tensor.tolist() == [[2, 2, 3, 3], [1, 1, 3, 3]]
    assert results['gt_ignore_flags'].tolist() == [False, False]
    assert results['gt_masks'].masks.tolist() == [
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]],
        [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0]],
    ]
    assert results['gt_seg_map'].tolist() == [
        [255, 0, 0, 0],
        [0, 1, 1, 1],
        [0, 1, 3, 1],
    ]
    assert results['gt_seg_map'].dtype == np.int32


def test_no_things_gives_empty_fields(tmp_path):
    write_dataset(tmp_path, {'a': ([[5, 5]], [segment(5, 7)]), 'b': ([[0, 0]], [])})
    for results in PanopticDataset(**dataset_config(tmp_path, LOAD)):
        assert results['gt_masks'].masks.shape == (0, 1, 2)
        assert results['gt_bboxes'].tensor.shape == (0, 4)
        assert results['gt_bboxes_labels'].shape == (0,)


def test_300_classes_do_not_collide_with_the_ignored_value(tmp_path):
    categories = [{'id': i, 'name': str(i), 'isthing': 0} for i in range(300)]
    image = ([[1, 2, 3, 0]], [segment(1, 255), segment(2, 254), segment(3, 299)])
    write_dataset(tmp_path, {'a': image}, categories)
    pipeline = [*LOAD, {'type': 'mmdet.PackDetInputs'}]
    sample = PanopticDataset(**dataset_config(tmp_path, pipeline))[0]['data_samples']
    assert sample.gt_sem_seg.sem_seg.tolist() == [[[255, 254, 299, 65535]]]
    assert sample.gt_sem_seg.ignore_index == 65535


def test_class_255_is_refused_where_255_means_ignored(tmp_path):
    """mmdet's dataset does not say what is ignored."""
    categories = [{'id': i, 'name': str(i), 'isthing': 0} for i in range(300)]
    write_dataset(tmp_path, {'a': ([[1]], [segment(1, 255)])}, categories)
    names = {'classes': [str(i) for i in range(300)]}
    config = dataset_config(tmp_path, LOAD, metainfo=names)
    dataset = DATASETS.build({'type': 'mmdet.CocoPanopticDataset', **config})
    with pytest.raises(ValueError, match=r'class 255 is not below.*PanopticDataset'):
        dataset[0]


@pytest.mark.parametrize(
    ('ids', 'words'),
    [
        ([[5, 5], [5, 8]], r'a\.png.*only in the PNG: \[8\]'),
        ([[5, 5], [5, 5]], r'a\.png.*only in the JSON: \[6\]'),
        ([[5, 6]], r'a\.png is \(1, 2\).*a\.jpg is \(2, 2\)'),
    ],
)
def test_png_and_json_disagree(tmp_path, ids, words):
    paths = write_dataset(
        tmp_path, {'a': ([[5, 5], [5, 6]], [segment(5, 7), segment(6, 3)])}
    )
    mmcv.imwrite(id_to_rgb(np.array(ids))[..., ::-1], f'{paths["seg_prefix"]}/a.png')
    dataset = PanopticDataset(**dataset_config(tmp_path, LOAD))
    with pytest.raises(ValueError, match=words):
        dataset[0]


def test_truncated_png_is_named(tmp_path):
    paths = write_dataset(tmp_path, {'a': (IDS, segments())})
    png = tmp_path / paths['seg_prefix'] / 'a.png'
    png.write_bytes(png.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r'a\.png is cut off'):
        PanopticDataset(**dataset_config(tmp_path, LOAD))[0]


LARGE_SCALE_JITTER = [
    *LOAD,
    {'type': 'mmdet.RandomFlip', 'prob': 0.5},
    {
        'type': 'RandomResize',
        'resize_type': 'mmdet.Resize',
        'scale': (256, 256),
        'ratio_range': (0.3, 2.0),
        'keep_ratio': True,
    },
    {
        'type': 'mmdet.RandomCrop',
        'crop_size': (256, 256),
        'recompute_bbox': True,
        'allow_negative_crop': True,
    },
    {
        'type': 'mmdet.Pad',
        'size': (256, 256),
        'pad_val': {'img': 128, 'seg': 255},
    },
    {'type': 'mmdet.PackDetInputs'},
]


@pytest.mark.parametrize(
    'kind', ['mmovseg.PanopticDataset', 'mmdet.CocoPanopticDataset']
)
def test_geometric_transforms_keep_masks_and_map_together(tmp_path, seed, kind):
    ids = np.kron(IDS, np.ones((50, 40), int))
    names = ('dog', 'wall', 'sky', 'kite')  # mmdet keeps the JSON's order all the same
    entries = segments()
    for entry in entries:
        ys, xs = np.nonzero(ids == entry['id'])
        entry['bbox'] = [int(xs.min()), int(ys.min()), int(np.ptp(xs)), int(np.ptp(ys))]
    write_dataset(tmp_path, {'a': (ids, entries)})
    config = dataset_config(tmp_path, LARGE_SCALE_JITTER)
    if kind.startswith('mmdet'):
        config['metainfo'] = {'classes': names}
    dataset = DATASETS.build({'type': kind, **config})
    padded = 0
    for _ in range(10):
        item = dataset[0]
        sample = item['data_samples']
        assert item['inputs'].shape == (3, 256, 256)
        label_map = sample.gt_sem_seg.sem_seg[0].numpy()
        padded += int((label_map[:, -1] == 255).all())
        if (label_map[:, -1] == 255).all():
            assert (item['inputs'][:, :, -1] == 128).all()
        masks, labels = sample.gt_instances.masks.masks, sample.gt_instances.labels
        assert len(masks) == len(labels)
        for mask, label in zip(masks.astype(bool), labels, strict=True):
            assert (label_map[mask] == int(label)).all()
    assert 0 < padded < 10


def test_tiny_coco_counts(shared):
    root = shared / 'data' / 'tiny_coco'
    expected = json.loads((root / 'expected.json').read_text())
    config = {
        'ann_file': 'annotations/panoptic_val2017.json',
        'data_root': str(root),
        'data_prefix': {'img': 'val2017/', 'seg': 'annotations/panoptic_val2017/'},
        'pipeline': LOAD,
    }
    for kind in ('mmovseg.PanopticDataset', 'mmdet.CocoPanopticDataset'):
        dataset = DATASETS.build({'type': kind, **config})
        assert len(dataset) == 3
        for results in dataset:
            truth = expected[results['seg_map_path'].split('/')[-1]]
            values, counts = np.unique(results['gt_seg_map'], return_counts=True)
            pixels = dict(zip(map(str, values), counts.tolist(), strict=True))
            assert pixels == truth['semantic_pixels']
            assert len(results['segments_info']) == truth['segments']
            things = truth['thing_segments'] - truth['crowd_segments']
            assert len(results['gt_masks']) == things
            # Official boxes are those of the masks.
            boxes = [instance['bbox'] for instance in results['instances']]
            np.testing.assert_array_equal(results['gt_bboxes'].tensor, boxes)


def test_equals_mmdets_transform(shared, monkeypatch):
    """mmdet's needs rgb2id of panopticapi, here our own."""
    import sys
    import types

    from mmovseg.formats.panoptic_format import rgb_to_id

    api = types.ModuleType('panopticapi')
    api.utils = types.SimpleNamespace(rgb2id=rgb_to_id)
    monkeypatch.setitem(sys.modules, 'panopticapi', api)
    root = shared / 'data' / 'tiny_coco'
    config = {
        'ann_file': 'annotations/panoptic_val2017.json',
        'data_root': str(root),
        'data_prefix': {'img': 'val2017/', 'seg': 'annotations/panoptic_val2017/'},
    }
    own = PanopticDataset(**config, pipeline=LOAD)
    other = DATASETS.build(
        {
            'type': 'mmdet.CocoPanopticDataset',
            **config,
            'pipeline': [LOAD[0], {'type': 'mmdet.LoadPanopticAnnotations'}],
        }
    )
    for a, b in zip(own, other, strict=True):
        assert set(a) - {'ignore_index', 'sem_seg_map_path'} == set(b)
        for key in ('gt_bboxes_labels', 'gt_ignore_flags', 'gt_seg_map'):
            np.testing.assert_array_equal(a[key], b[key])
            assert a[key].dtype == b[key].dtype
        np.testing.assert_array_equal(a['gt_masks'].masks, b['gt_masks'].masks)
        np.testing.assert_array_equal(a['gt_bboxes'].tensor, b['gt_bboxes'].tensor)
        for key in ('instances', 'segments_info', 'img_path', 'seg_map_path', 'img_id'):
            assert a[key] == b[key]
