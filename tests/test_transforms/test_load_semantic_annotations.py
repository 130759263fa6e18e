import json

import cv2
import mmcv.transforms
import numpy as np
import pytest
from mmseg.datasets.transforms import LoadAnnotations, RandomCrop
from PIL import Image

from mmovseg.transforms import KeepSeenClasses, LoadSemanticAnnotations


def write(path, values):
    Image.fromarray(values).save(path)
    return {'seg_map_path': str(path), 'ori_shape': values.shape[:2]}


def load(results, *args, **options):
    return LoadSemanticAnnotations(*args, **options)(results)['gt_seg_map']


def test_values_become_labels_by_hand(tmp_path):
    values = np.array([[0, 3, 7, 7], [2, 255, 9, 3]], np.uint8)
    results = write(tmp_path / 'a.png', values)
    labels = load(results, (3, 7, 2))
    assert labels.tolist() == [[255, 0, 1, 1], [2, 255, 255, 0]]
    assert labels.dtype == np.uint8
    assert results['seg_fields'] == ['gt_seg_map']
    assert load(results).tolist() == values.tolist()  # the value is the label


def test_palette_images_keep_their_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 20, 255]], np.uint8), mode='P')
    image.putpalette(list(range(256)) * 3)
    path = tmp_path / 'a.png'
    image.save(path)
    assert load({'seg_map_path': str(path)}).tolist() == [[0, 1, 20, 255]]


@pytest.mark.parametrize('reduce_zero_label', [False, True])
@pytest.mark.parametrize('label_map', [None, {0: 2, 1: 255, 2: 0, 3: 1}])
def test_equals_mmseg_where_mmseg_is_right(tmp_path, reduce_zero_label, label_map):
    values = np.array([[0, 1, 2, 3], [4, 253, 254, 255]], np.uint8)
    results = write(tmp_path / 'a.png', values)
    results |= {'reduce_zero_label': reduce_zero_label, 'label_map': label_map}
    expected = LoadAnnotations()({**results, 'seg_fields': []})['gt_seg_map']
    np.testing.assert_array_equal(load(results), expected)


@pytest.mark.parametrize('suffix', ['png', 'tiff'])
def test_more_than_255_classes(tmp_path, suffix):
    values = np.array([[0, 255, 256, 458, 65535]], np.uint16)
    results = write(tmp_path / f'a.{suffix}', values)
    labels = load(results, ignore_index=65535)
    assert labels.tolist() == values.tolist()
    labels = load(results, range(459), 65535)
    assert labels.tolist() == values.tolist()
    # What mmcv and mmseg do with such maps afterwards.
    results |= {'img': np.zeros((1, 5, 3), np.uint8), 'gt_seg_map': labels}
    for transform in (
        mmcv.transforms.Resize((10, 2)),
        mmcv.transforms.RandomFlip(1.0),
        mmcv.transforms.Pad(size=(12, 3), pad_val={'img': 0, 'seg': 65535}),
        RandomCrop((3, 10)),
    ):
        results = transform(results)
    assert results['gt_seg_map'].shape == (3, 10)
    assert set(results['gt_seg_map'][:2].flat) <= set(values.flat)
    assert (results['gt_seg_map'][2] == 65535).all()


@pytest.mark.parametrize(
    ('values', 'fields', 'options', 'words'),
    [
        (np.zeros((2, 3, 3), np.uint8), {}, {}, r'a\.png is no label map.*3 channels'),
        (
            np.zeros((2, 3), np.uint8),
            {'ori_shape': (3, 2), 'img_path': 'b.jpg'},
            {},
            r'a\.png is \(2, 3\).*b\.jpg is \(3, 2\)',
        ),
        (np.full((2, 3), 300, np.uint16), {}, {}, r'a\.png has the value 300.*65535'),
        (
            np.zeros((2, 3), np.uint8),
            {'reduce_zero_label': True},
            {'class_values': [1]},
            'reduce_zero_label=False',
        ),
        (
            np.zeros((2, 3), np.uint8),
            {'label_map': {0: 255}},
            {'ignore_index': 65535},
            'KeepSeenClasses',
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, values, fields, options, words):
    results = {**write(tmp_path / 'a.png', values), **fields}
    with pytest.raises(ValueError, match=words):
        load(results, **options)


def test_broken_files_are_named(tmp_path):
    path = tmp_path / 'a.png'
    path.write_bytes(cv2.imencode('.png', np.zeros((50, 50), np.uint8))[1][:60])
    with pytest.raises(ValueError, match=r'a\.png'):
        load({'seg_map_path': str(path)})
    with pytest.raises(FileNotFoundError, match=r'b\.png'):
        load({'seg_map_path': str(tmp_path / 'b.png')})


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'class_values': [1, 1]}, r'distinct and at least 0, got \(1, 1\)'),
        ({'class_values': [-1]}, 'at least 0'),
        ({'class_values': range(256)}, '256 classes need an ignore_index'),
    ],
)
def test_wrong_settings_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        LoadSemanticAnnotations(**options)


def test_raw_coco_stuff_becomes_171_and_156_classes(shared):
    """21 of 21 maps equal those of the official preparation."""
    folder = shared / 'data/tiny_cocostuff'
    table = json.loads(
        (shared / 'data/splits/coco_stuff_171_zeroshot.json').read_text()
    )
    unused = table['unannotated_raw_pixel']
    decode = LoadSemanticAnnotations([v for v in range(182) if v not in unused])
    keep = KeepSeenClasses('plain/coco_stuff_171', 'plain/coco_stuff_156')
    checked = 0
    for raw in sorted(folder.glob('stuffthingmaps/*/*.png')):
        results = decode({'seg_map_path': str(raw)})
        prepared = folder / 'stuffthingmaps_detectron2'
        for suffix in ('', '_base'):
            if suffix:
                results = keep(results)
            path = prepared / f'{raw.parent.name}{suffix}' / raw.name
            expected = mmcv.imread(str(path), 'unchanged', backend='pillow')
            np.testing.assert_array_equal(results['gt_seg_map'], expected)
        checked += 1
    assert checked == 21
