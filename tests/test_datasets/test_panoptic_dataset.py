import subprocess
import sys

import pytest
from panoptic_files import CATEGORIES, dataset_config, segment, write_dataset

from mmovseg.datasets import PanopticDataset
from mmovseg.registry import DATASETS


@pytest.fixture
def root(tmp_path):
    write_dataset(
        tmp_path,
        {
            'both': ([[5, 5, 6]], [segment(5, 7), segment(6, 3)]),
            'stuff': ([[5, 5, 0]], [segment(5, 7)]),
            'crowd': ([[0, 6, 6]], [segment(6, 3, iscrowd=1)]),
            'empty': ([[0, 0, 0], [0, 0, 0]], []),
        },
    )
    return tmp_path


def test_classes_are_the_jsons_in_its_order(root):
    dataset = DATASETS.build(
        {'type': 'mmovseg.PanopticDataset', **dataset_config(root)}
    )
    assert dataset.metainfo == {
        'classes': ('wall', 'dog', 'sky', 'kite'),
        'thing_classes': ('dog', 'kite'),
        'stuff_classes': ('wall', 'sky'),
        'is_thing': (False, True, False, True),
        'category_ids': (7, 3, 90, 12),
        'palette': [tuple(cat['color']) for cat in CATEGORIES],
    }


def test_the_json_beats_metainfo(root):
    names = {'classes': ('dog', 'wall', 'sky', 'kite'), 'source': 'me'}
    with pytest.warns(UserWarning, match='the file counts'):
        dataset = PanopticDataset(**dataset_config(root, metainfo=names))
    assert dataset.metainfo['classes'] == ('wall', 'dog', 'sky', 'kite')
    assert dataset.metainfo['source'] == 'me'


def test_samples(root):
    dataset = PanopticDataset(**dataset_config(root))
    assert len(dataset) == 4
    info = dataset.get_data_info(0)
    assert info['img_path'] == f'{root}/val/both.jpg'
    assert info['seg_map_path'] == f'{root}/annotations/panoptic_val/both.png'
    assert (info['height'], info['width'], info['img_id']) == (1, 3, 100)
    assert info['segments_info'] == [
        {'id': 5, 'category': 0, 'is_thing': False},
        {'id': 6, 'category': 1, 'is_thing': True},
    ]
    assert info['instances'] == [
        {'bbox': [0, 0, 1, 1], 'bbox_label': 1, 'ignore_flag': 0}
    ]
    crowd = dataset.get_data_info(2)
    assert crowd['instances'] == []
    assert crowd['segments_info'] == [{'id': 6, 'category': 1, 'is_thing': False}]
    assert dataset.get_cat_ids(0) == [1]  # what mmdet's samplers ask for


def test_filter_keeps_images_of_stuff_alone(root):
    names = ['both', 'stuff', 'crowd', 'empty']

    def kept(**filters):
        dataset = PanopticDataset(**dataset_config(root, filter_cfg=filters))
        paths = [
            info['img_path'] for info in map(dataset.get_data_info, range(len(dataset)))
        ]
        return [path.split('/')[-1].removesuffix('.jpg') for path in paths]

    assert kept() == names
    assert kept(filter_empty_gt=True) == ['both', 'stuff']
    assert kept(min_size=2) == ['empty']


def test_tiny_segments_are_kept(tmp_path):
    """mmdet drops what has a box narrower than 1; some files have such boxes."""
    entries = [segment(5, 7), segment(6, 3, bbox=(2, 0, 0.5, 0.5))]
    write_dataset(tmp_path, {'a': ([[5, 5, 6]], entries)})
    info = PanopticDataset(**dataset_config(tmp_path)).get_data_info(0)
    assert len(info['segments_info']) == 2
    assert len(info['instances']) == 1


def test_missing_pngs_are_counted_and_named(root):
    for stem in ('both', 'empty'):
        (root / 'annotations' / 'panoptic_val' / f'{stem}.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'2 of 4 PNGs.*both\.png, empty\.png$'):
        PanopticDataset(**dataset_config(root))


def test_missing_folder_is_named(root):
    config = dataset_config(root, data_prefix={'img': 'val/', 'seg': 'elsewhere/'})
    with pytest.raises(FileNotFoundError, match='elsewhere'):
        PanopticDataset(**config)


def test_missing_json_is_named(root):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.json'):
        PanopticDataset(**dataset_config(root, ann_file='nowhere.json'))


def test_missing_photo_is_named(root):
    (root / 'val' / 'both.jpg').unlink()
    pipeline = [{'type': 'mmovseg.LoadImageFromFile'}]
    dataset = PanopticDataset(**dataset_config(root, pipeline))
    with pytest.raises(FileNotFoundError, match=r'both\.jpg'):
        dataset[0]


def test_without_pngs_images_can_be_tested(root):
    config = dataset_config(root, data_prefix={'img': 'val/'}, test_mode=True)
    pipeline = ['LoadImageFromFile', 'LoadPanopticAnnotations']
    config['pipeline'] = [{'type': f'mmovseg.{name}'} for name in pipeline]
    results = PanopticDataset(**config)[0]
    assert results['seg_map_path'] is None
    assert 'gt_masks' not in results


@pytest.mark.slow
def test_import_needs_no_models_and_no_ops():
    code = (
        'import sys, mmovseg.datasets, mmovseg.evaluation;'
        "bad = [m for m in sys.modules if m.startswith(('mmdet.models', 'mmcv.ops',"
        " 'mmovseg.models', 'mmseg.models'))];"
        'sys.exit(str(bad) if bad else 0)'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_a_vocabulary_in_other_order_is_refused(root):
    names = ['stuff: wall', 'thing: puppy; dog', 'sky', 'thing: kite']
    meta = {'vocabulary': names}
    dataset = PanopticDataset(**dataset_config(root, metainfo=meta))
    assert dataset.metainfo['classes'] == ('wall', 'dog', 'sky', 'kite')
    assert dataset.metainfo['vocabulary'] == names  # plain: checkpoints keep it
    meta = {'vocabulary': names[1:] + names[:1]}
    with pytest.raises(ValueError, match=r"Label 0 is 'wall' \(stuff\) there and 'pup"):
        PanopticDataset(**dataset_config(root, metainfo=meta))
    with pytest.raises(ValueError, match=r'4 categories, 2 of them.*against 3 and 2'):
        PanopticDataset(**dataset_config(root, metainfo={'vocabulary': names[1:]}))


def test_ade20k_with_things_first_is_refused(shared):
    root = shared / 'data/tiny_ade20k/ADEChallengeData2016'
    config = {
        'metainfo': {'vocabulary': 'ade20k_150'},
        'data_root': str(root),
        'data_prefix': {'img': 'images/training', 'seg': 'ade20k_panoptic_train'},
    }
    dataset = PanopticDataset('ade20k_panoptic_train.json', **config)
    assert dataset.metainfo['classes'][0] == 'wall'
    with pytest.raises(ValueError, match=r"Label 0 is 'bed' .*puts things first"):
        PanopticDataset('ade20k_panoptic_train_thingsfirst.json', **config)
