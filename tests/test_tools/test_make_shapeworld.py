import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as rle

from mmovseg.datasets import PanopticDataset
from mmovseg.formats.panoptic_format import read_segment_ids
from mmovseg.shapeworld.drawing import CLASSES, SEEN, UNSEEN

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def tool():
    path = ROOT / 'tools' / 'dataset_converters' / 'make_shapeworld.py'
    spec = importlib.util.spec_from_file_location('make_shapeworld', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def options(out, num_train=3, size=48):
    return [
        '--out',
        str(out),
        '--num-train',
        str(num_train),
        '--num-val',
        '2',
        '--image-size',
        str(size),
    ]


def test_data_set_loads_and_agrees_with_itself(tool, tmp_path):
    tool.main(options(tmp_path))
    pipeline = ['LoadImageFromFile', 'LoadPanopticAnnotations']
    for split, length in (('train', 3), ('val', 2)):
        dataset = PanopticDataset(
            ann_file=f'annotations/panoptic_{split}.json',
            data_root=str(tmp_path),
            data_prefix={'img': split, 'seg': f'annotations/panoptic_{split}'},
            pipeline=[{'type': f'mmovseg.{name}'} for name in pipeline],
        )
        assert len(dataset) == length
        path = tmp_path / 'annotations' / f'instances_{split}.json'
        instances = json.loads(path.read_text())
        assert len({ann['id'] for ann in instances['annotations']} - {0}) == len(
            instances['annotations']
        )
        for results in dataset:
            assert results['img'].shape == (48, 48, 3)
            # The boxes written are those of the masks read.
            boxes = [instance['bbox'] for instance in results['instances']]
            np.testing.assert_array_equal(results['gt_bboxes'].tensor, boxes)
            assert (results['gt_seg_map'] != 255).all()
            masks = [
                rle.decode(ann['segmentation'])
                for ann in instances['annotations']
                if ann['image_id'] == results['img_id']
            ]
            np.testing.assert_array_equal(results['gt_masks'].masks, masks)


@pytest.mark.slow
def test_second_run_leaves_it_and_other_settings_redraw(tool, tmp_path, capsys):
    tool.main(options(tmp_path))
    picture = tmp_path / 'train' / '000001.png'
    before, time = picture.read_bytes(), picture.stat().st_mtime_ns
    tool.main(options(tmp_path))
    assert picture.stat().st_mtime_ns == time
    assert capsys.readouterr().out.count('up to date') == 2
    # More pictures begin with the same ones; none is left of a larger set.
    tool.main(options(tmp_path, num_train=4))
    assert picture.read_bytes() == before
    tool.main(options(tmp_path, num_train=2))
    assert len(list((tmp_path / 'train').iterdir())) == 2
    tool.main(options(tmp_path, num_train=2, size=32))
    assert read_segment_ids(str(picture)).shape == (32, 32)


def contents(root):
    files = sorted(path for path in root.rglob('*') if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_same_seed_same_bytes_however_many_processes(tool, tmp_path):
    """Other machines: see the checksums in test_shapeworld.py."""
    for name, workers, seed in (('a', '1', '5'), ('b', '2', '5'), ('c', '1', '6')):
        more = ['--workers', workers, '--seed', seed]
        tool.main([*options(tmp_path / name, num_train=9), *more])
    first, second, other = (contents(tmp_path / name) for name in 'abc')
    assert len(first) == 2 * 11 + 4
    assert first == second
    assert not any(other[name] == data for name, data in first.items())


def test_training_files_do_not_name_unseen_classes(tool, tmp_path):
    tool.main(options(tmp_path, num_train=30))
    for kind in ('panoptic', 'instances'):
        text = (tmp_path / 'annotations' / f'{kind}_train.json').read_text()
        assert not any(name in text for name in UNSEEN)
        names = {category['name'] for category in json.loads(text)['categories']}
        assert names == set(SEEN)
        path = tmp_path / 'annotations' / f'{kind}_val.json'
        categories = json.loads(path.read_text())['categories']
        assert tuple(category['name'] for category in categories) == CLASSES
        ids = {category['name']: category['id'] for category in categories}
        for category in json.loads(text)['categories']:
            assert category['id'] == ids[category['name']]


def test_presets_and_explicit_numbers(tool):
    args = tool.parse_args(['--size', 'full', '--num-val', '7'])
    assert (args.num_train, args.num_val, args.image_size) == (10000, 7, 192)
    args = tool.parse_args([])
    assert (args.num_train, args.num_val, args.image_size) == (1000, 100, 128)


def test_train_and_val_differ(tool, tmp_path):
    tool.main(options(tmp_path))
    first = [
        (tmp_path / split / '000000.png').read_bytes() for split in ('train', 'val')
    ]
    assert first[0] != first[1]


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--seed', '-1'], 'seed must be from 0 to'),
        (['--seed', str(2**32)], 'seed must be from 0 to'),
        (['--num-train', '-1'], '-1 pictures'),
        (['--image-size', '31'], '31 pixels'),
    ],
)
def test_numbers_out_of_range_are_explained(tool, words, message, tmp_path):
    with pytest.raises(SystemExit, match=f'error: .*{message}'):
        tool.main([*options(tmp_path), *words])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('train/photo.png', 'not ours'),
        ('train/000000.png', 'as KITTI calls its pictures'),
        ('annotations/panoptic_train/mine.png', 'not ours'),
        ('annotations/instances_train.json', '{"images": []}'),
        ('annotations/panoptic_train.json', '{"info": {}, "images": []}'),
        ('annotations/panoptic_train.json', '[]'),
    ],
)
def test_files_of_others_are_never_removed(tool, name, text, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(SystemExit, match=f'{path.name} is of another dataset'):
        tool.main(options(tmp_path))
    assert path.read_text() == text


def test_what_was_stopped_is_drawn_anew(tool, tmp_path):
    tool.main(options(tmp_path))
    before = contents(tmp_path)
    (tmp_path / 'annotations/panoptic_train.json').unlink()
    (tmp_path / 'train/000001.png').write_bytes(b'')
    tool.main(options(tmp_path))
    assert contents(tmp_path) == before


def test_a_run_that_was_killed_is_repeated(tool, tmp_path, monkeypatch):
    from mmovseg.datasets import shapeworld_files

    def killed(*_):
        raise KeyboardInterrupt

    tool.main(options(tmp_path / 'whole'))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shapeworld_files, '_write_annotations', killed)
        tool.main(options(tmp_path / 'killed'))
    tool.main(options(tmp_path / 'killed'))
    assert contents(tmp_path / 'killed') == contents(tmp_path / 'whole')
