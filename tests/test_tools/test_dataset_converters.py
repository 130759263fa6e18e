"""Every converter, from drawn files in the layout of the download to loaded samples."""

import json
from pathlib import Path

import mmcv
import numpy as np
import pytest
from converter_tools import (
    TOOLS,
    convert,
    load_tool,
    photo,
    score_truth,
    times,
    write,
)
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from pycocotools import mask as rle
from scipy.io import savemat

import mmovseg.evaluation  # noqa: F401 (registers)
from mmovseg.formats.panoptic_format import read_segment_ids
from mmovseg.registry import DATASETS

ROOT = Path(__file__).resolve().parents[2]
PALETTE_WALL = 120 + 120 * 256 + 120 * 65536
PALETTE_SKYSCRAPER = 140 + 140 * 256 + 200 * 65536


@pytest.fixture(autouse=True)
def data(monkeypatch, tmp_path):
    init_default_scope('mmovseg')
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))
    return tmp_path


def build(name):
    config = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{name}.py')
    return config, DATASETS.build(config.test_dataloader.dataset)


def labels_of(dataset, index=0):
    return dataset[index]['data_samples'].gt_sem_seg.data[0].tolist()


# ADE20K panoptic


def test_ade20k_panoptic(data):
    root = data / 'ADEChallengeData2016'
    # wall 1 (stuff), bed 8 (thing), skyscraper 49, other 0
    semantic = np.array([[1, 1, 8, 8, 49, 0], [1, 8, 8, 8, 49, 0]], np.uint8)
    # Beds have number 1 among the things; instances overrule stuff and "other".
    things = np.zeros((2, 6, 3), np.uint8)
    things[0, 2:4, :2] = 1, 1
    things[1, 3:5, :2] = 1, 2
    things[1, 5, :2] = 100, 2  # flag, the last thing
    name = 'ADE_val_00000001'
    write(root / f'annotations/validation/{name}.png', semantic)
    write(root / f'annotations_instance/validation/{name}.png', things)
    write(root / f'images/validation/{name}.jpg', photo(2, 6))
    convert('ade20k_panoptic', root)

    ids = read_segment_ids(str(root / f'ade20k_panoptic_val/{name}.png'))
    wall, tower = PALETTE_WALL, PALETTE_SKYSCRAPER
    assert ids.tolist() == [[wall, wall, 1, 1, tower, 0], [wall, 0, 0, 2, 2, 3]]
    config, dataset = build('ade20k_panoptic')
    names = dataset.metainfo['classes']
    assert (names[0], names[7], names[8]) == ('wall', 'bed', 'window ')
    info = dataset.get_data_info(0)
    assert info['img_id'] == name
    found = {seg['id']: names[seg['category']] for seg in info['segments_info']}
    assert found == {wall: 'wall', tower: 'skyscraper', 1: 'bed', 2: 'bed', 3: 'flag'}
    result = score_truth(config, dataset)
    assert result['panoptic/PQ'] == result['panoptic/PQ_th'] == 100
    assert result['instance/segm_mAP'] == pytest.approx(1)
    # Scene parsing has two more pixels of beds, which are void in the panoptic map,
    # and the skyscraper below a bed.
    assert result['semantic/pAcc'] == pytest.approx(70)
    assert result['semantic/mIoU'] == pytest.approx(100 * (1 + 3 / 6 + 1 / 2) / 3)

    before = times(root)
    convert('ade20k_panoptic', root)
    assert times(root) == before
    (root / f'ade20k_panoptic_val/{name}.png').unlink()
    convert('ade20k_panoptic', root)
    assert (root / f'ade20k_panoptic_val/{name}.png').is_file()


def same_but_numbers(segments):
    """Drop the ids of things, which anyone chooses freely."""
    keys = ('category_id', 'area', 'bbox', 'iscrowd')
    return sorted([segment[key] for key in keys] for segment in segments)


def test_ade20k_panoptic_makes_the_sample(data, shared):
    tiny = shared / 'data/tiny_ade20k/ADEChallengeData2016'
    root = data / 'ADEChallengeData2016'
    root.mkdir()
    for name in ('annotations', 'annotations_instance'):
        (root / name).symlink_to(tiny / name)
    convert('ade20k_panoptic', root, workers=2)
    for name in ('ade20k_panoptic_train', 'ade20k_instance_train'):
        ours = json.loads((root / f'{name}.json').read_text())
        theirs = json.loads((tiny / f'{name}.json').read_text())
        for category in theirs['categories']:
            if category['name'] == 'skyscraper' and 'color' in category:
                category['color'] = [140, 140, 200]  # the sample has that of "road"
        assert ours['categories'] == theirs['categories']
        assert ours['images'] == theirs['images']
        if 'panoptic' in name:
            for one, other in zip(
                ours['annotations'], theirs['annotations'], strict=True
            ):
                assert one['file_name'] == other['file_name']
                assert same_but_numbers(one['segments_info']) == same_but_numbers(
                    other['segments_info']
                )
        else:
            pairs = [
                sorted((a['category_id'], a['segmentation']['counts']) for a in anns)
                for anns in (ours['annotations'], theirs['annotations'])
            ]
            assert pairs[0] == pairs[1]
            assert len(pairs[0]) > 50


def test_ids_of_things_keep_off_the_colors_of_stuff():
    tool = load_tool('ade20k_panoptic')
    tool.STUFF_IDS[0] = 1
    ids, _ = tool.combine(np.array([[1, 8, 8]]), np.array([[[0, 0], [1, 1], [1, 2]]]))
    assert ids.tolist() == [[1, 2, 3]]


# Cityscapes


def test_cityscapes(data):
    root = data / 'cityscapes'
    stem = 'frankfurt_000000_000294'
    # road 7, two cars, a group of cars, an ego vehicle 1, a trailer 30 and its 30001
    values = [[7, 7, 26000, 26001], [1, 26, 26, 26001], [30, 30001, 23, 23]]
    values = np.array(values, np.uint16)
    write(root / f'gtFine/val/frankfurt/{stem}_gtFine_instanceIds.png', values)
    write(root / f'leftImg8bit/val/frankfurt/{stem}_leftImg8bit.png', photo(3, 4))
    convert('cityscapes_panoptic', root)

    config, dataset = build('cityscapes_panoptic')
    info = dataset.get_data_info(0)
    assert Path(info['img_path']).is_file()
    assert [
        (seg['id'], dataset.metainfo['classes'][seg['category']], seg['is_thing'])
        for seg in info['segments_info']
    ] == [
        (7, 'road', False),
        (23, 'sky', False),
        (26, 'car', False),  # a crowd is no target
        (26000, 'car', True),
        (26001, 'car', True),
    ]
    panoptic = json.loads((root / 'gtFine/cityscapes_panoptic_val.json').read_text())
    assert panoptic['images'] == [
        {
            'id': stem,
            'file_name': f'{stem}_gtFine_leftImg8bit.png',
            'width': 4,
            'height': 3,
        }
    ]
    (entry,) = panoptic['annotations']
    assert entry['file_name'] == f'{stem}_gtFine_panoptic.png'
    crowd = entry['segments_info'][2]
    assert crowd == {
        'id': 26,
        'category_id': 26,
        'area': 2,
        'bbox': [1, 1, 2, 1],
        'iscrowd': 1,
    }
    assert [cat['isthing'] for cat in panoptic['categories']] == [0] * 11 + [1] * 8
    instance = json.loads((root / 'gtFine/cityscapes_instance_val.json').read_text())
    assert [ann['id'] for ann in instance['annotations']] == [1, 2, 3]
    assert [cat['id'] for cat in instance['categories']] == [
        *(24, 25, 26, 27, 28, 31, 32, 33)
    ]
    mask = rle.decode(instance['annotations'][2]['segmentation'])
    assert mask.tolist() == (values == 26001).astype(int).tolist()
    result = score_truth(config, dataset)
    assert result['panoptic/PQ'] == result['semantic/mIoU'] == 100
    assert result['instance/segm_mAP'] == pytest.approx(1)


# ADE20K full


def color(code, instance=0):
    return [code // 256 * 10, code % 256, instance]


def test_ade20k_full(data):
    root = data / 'ADE20K_2021_17_01'
    folder = root / 'images/ADE/validation/urban/street'
    tool = load_tool('ade20k_full')
    first, last, middle = tool.CODES[0], tool.CODES[846], tool.CODES[300]
    assert (first, len(set(tool.CODES))) == (2978, 847)
    codes = np.zeros((600, 900, 3), np.uint8)  # 0 is no class
    codes[:300, :450] = color(first, 3)
    codes[:300, 450:] = color(last)
    codes[300:, :450] = color(middle)
    codes[0, 0, 0] += 9  # the last digit of red means something else
    write(folder / 'ADE_val_00000001.jpg', photo(600, 900))
    write(folder / 'ADE_val_00000001_seg.png', codes)
    small = folder / 'ADE_val_00000002.jpg'
    write(small, photo(300, 200))
    write(small.with_name('ADE_val_00000002_seg.png'), codes[:300, :200])
    convert(tool, root, workers=2)

    config, dataset = build('ade20k_847')
    assert [Path(dataset.get_data_info(i)['img_path']).stem[-1] for i in (0, 1)] == [
        *('1', '2')
    ]
    labels = np.array(labels_of(dataset))
    assert labels.shape == (512, 768)
    assert (labels[:256, :384] == 0).all()
    assert (labels[:256, 384:] == 846).all()
    assert (labels[256:, :384] == 300).all()
    assert (labels[256:, 384:] == 65535).all()
    copied = root / 'images_detectron2/validation/ADE_val_00000002.jpg'
    assert copied.read_bytes() == small.read_bytes()
    assert config.test_dataloader.dataset.seg_map_suffix == '.tif'

    before = times(root)
    convert(tool, root)
    assert times(root) == before
    copied.unlink()
    convert(tool, root)
    assert {path for path, time in times(root).items() if before[path] != time} == {
        copied,
        root / 'annotations_detectron2/validation/ADE_val_00000002.tif',
    }


def test_ade20k_full_makes_the_sample(data, shared):
    tiny = shared / 'data/tiny_ade20k/ADE20K_2021_17_01'
    root = data / 'ADE20K_2021_17_01'
    root.mkdir()
    (root / 'images').symlink_to(tiny / 'images')
    convert('ade20k_full', root)
    name = 'training/ADE_train_00016964'
    maps = [
        np.asarray(Image.open(base / 'annotations_detectron2' / f'{name}.tif'))
        for base in (root, tiny)
    ]
    assert maps[0].dtype == maps[1].dtype == np.uint16
    assert (maps[0] == maps[1]).all()
    photos = [
        mmcv.imread(str(base / 'images_detectron2' / f'{name}.jpg')).astype(int)
        for base in (root, tiny)
    ]
    assert abs(photos[0] - photos[1]).mean() < 3  # another JPEG quality


# PASCAL Context


@pytest.fixture
def context(data):
    root = data / 'VOCdevkit' / 'VOC2010'
    numbers = np.array([[0, 2, 3], [458, 459, 431]], np.uint16)
    for split, stem in (('train', '2008_000002'), ('val', '2008_000003')):
        write(root / f'JPEGImages/{stem}.jpg', photo(2, 3))
        (root / 'trainval').mkdir(exist_ok=True)
        savemat(root / f'trainval/{stem}.mat', {'LabelMap': numbers})
        path = root / f'ImageSets/Main/{split}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{stem}\n')
    return root


def test_context_from_mat_files(context):
    convert('pascal_context', context)
    _, dataset = build('context_459')
    assert len(dataset) == 1
    assert labels_of(dataset) == [[65535, 1, 2], [457, 458, 430]]
    assert dataset.metainfo['classes'][1] == 'aeroplane'
    _, dataset = build('context_59')
    assert labels_of(dataset) == [[255, 0, 255], [58, 255, 255]]
    assert dataset.metainfo['classes'][0] == 'aeroplane'
    assert dataset.metainfo['classes'][58] == 'wood'
    before = times(context / 'SegmentationClassContext459')
    convert('pascal_context', context)
    assert times(context / 'SegmentationClassContext459') == before


def segment_of(image_id, category, mask):
    code = rle.encode(np.asfortranarray(mask, np.uint8))
    code['counts'] = code['counts'].decode()
    return {'image_id': image_id, 'category_id': category, 'segmentation': code}


def test_context_59_from_the_json(context):
    for path in (context / 'trainval').iterdir():
        path.unlink()
    (context / 'trainval').rmdir()
    images, segments = [], []
    for number, (phase, stem) in enumerate(
        (('train', '2008_000002'), ('val', '2008_000003'), ('test', '2008_000004'))
    ):
        info = {'image_id': number, 'file_name': f'{stem}.jpg', 'phase': phase}
        images.append({**info, 'height': 2, 'width': 3})
        segments.append(segment_of(number, 9, [[1, 0, 0], [1, 0, 0]]))
        segments.append(segment_of(number, 431, [[0, 1, 0], [0, 0, 0]]))
    content = {'images': images, 'annos_segmentation': segments}
    (context / 'trainval_merged.json').write_text(json.dumps(content))
    convert('pascal_context', context)
    _, dataset = build('context_59')
    assert dataset.metainfo['classes'][1] == 'bag'
    assert labels_of(dataset) == [[1, 255, 255], [1, 255, 255]]
    assert not (context / 'SegmentationClassContext459').exists()


def test_context_ids_are_the_table_of_the_reference(shared):
    table = json.loads((shared / 'data/splits/pascal_context_59.json').read_text())
    assert (
        tuple(cls['id_459'] for cls in table['classes'])
        == load_tool('pascal_context').KEPT
    )


# VOC trainaug


def test_voc_aug(data):
    root, sbd = data / 'VOC2012', data / 'sbd'
    lists = root / 'ImageSets/Segmentation'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('a\nb\n')
    (lists / 'val.txt').write_text('c\n')
    palette = Image.fromarray(np.array([[0, 5, 255]], np.uint8), mode='P')
    palette.putpalette(list(range(256)) * 3)
    (root / 'SegmentationClass').mkdir()
    for name in 'abc':
        palette.save(root / f'SegmentationClass/{name}.png')
    (sbd / 'cls').mkdir(parents=True)
    (sbd / 'train.txt').write_text('a\nc\n')
    (sbd / 'val.txt').write_text('d\n')
    for name in 'acd':
        field = {'Segmentation': np.array([[0, 5, 20]], np.uint8)}
        savemat(sbd / f'cls/{name}.mat', {'GTcls': field})
    for name in 'abcd':
        write(root / f'JPEGImages/{name}.jpg', photo(1, 3))
    convert('voc_aug', root, '--sbd', str(sbd))
    assert (lists / 'trainaug.txt').read_text() == 'a\nb\nd\n'
    config = Config.fromfile(ROOT / 'configs/_base_/datasets/voc_21.py')
    options = config.test_dataloader.dataset
    options.ann_file = 'ImageSets/Segmentation/trainaug.txt'
    options.data_prefix.seg_map_path = 'SegmentationClassAug'
    dataset = DATASETS.build(options)
    maps = [labels_of(dataset, index) for index in range(3)]
    assert maps == [[[0, 5, 255]], [[0, 5, 255]], [[0, 5, 20]]]  # VOC's before SBD's


# What all have in common


@pytest.mark.parametrize('path', sorted(TOOLS.glob('*.py')), ids=lambda p: p.stem)
def test_usage_is_told(path):
    assert load_tool(path.stem).__doc__


def test_tables_are_those_of_the_reference(shared):
    splits = shared / 'data/splits'
    table = json.loads((splits / 'ade20k_847.json').read_text())['classes']
    assert tuple(c['full_ade_id'] for c in table) == load_tool('ade20k_full').CODES
    table = json.loads((splits / 'ade20k_150.json').read_text())['classes']
    tool = load_tool('ade20k_panoptic')
    assert [c['name'] for c in tool.PANOPTIC_CATEGORIES] == [c['name'] for c in table]
    things = [c['index'] for c in table if c['isthing']]
    assert sorted(things, key=lambda i: table[i]['instance_id']) == tool.THINGS
    table = json.loads((splits / 'cityscapes_19.json').read_text())['classes']
    for ours, theirs in zip(
        load_tool('cityscapes_panoptic').CATEGORIES, table, strict=True
    ):
        assert ours == {
            'id': theirs['label_id'],
            **{key: theirs[key] for key in ('name', 'color', 'isthing')},
        }
