import json
from pathlib import Path

import mmcv
import numpy as np
import pytest
from mmengine.config import Config
from panoptic_files import dataset_config, segment, write_dataset

from mmovseg.analysis.dataset_validation import (
    find_data,
    load_data_config,
    validate_data,
)

ROOT = Path(__file__).resolve().parents[2]
NAMES = ['stuff: wall', 'thing: dog', 'stuff: sky', 'thing: kite']


@pytest.fixture
def root(tmp_path):
    write_dataset(
        tmp_path,
        {
            str(number): ([[9, 9, 6], [9, 9, 0]], [segment(9, 7), segment(6, 3)])
            for number in range(5)
        },
    )
    return tmp_path


def write_instances(root, categories, images=range(100, 105)):
    path = root / 'annotations' / 'instances_val.json'
    content = dict(
        categories=[dict(id=i, name=name) for i, name in categories.items()],
        images=[dict(id=i) for i in images],
        annotations=[],
    )
    path.write_text(json.dumps(content))
    return str(path)


def make_config(root, pipeline=(), **changes):
    dataset = dict(type='PanopticDataset', **dataset_config(root, pipeline))
    return Config(
        dict(vocabulary=NAMES, val_dataloader=dict(dataset=dataset), **changes)
    )


def validate(cfg, **options):
    (entry,) = find_data(cfg)
    return validate_data(entry, **options)


@pytest.mark.parametrize('num_workers', [0, 2])
def test_a_sound_data_set(root, num_workers):
    summary = validate(make_config(root), num_workers=num_workers)
    assert not summary.problems
    assert (summary.title, summary.checked, summary.num_images) == ('val', 5, 5)
    assert summary.pixels.tolist() == [20, 5, 0, 0]
    assert dict(summary.ignored) == {0: 5}
    assert summary.notes == {'use': ['2 of 4 classes are in no image: sky, kite']}


def test_images_are_spread(root):
    (root / 'val' / '4.jpg').unlink()
    (root / 'val' / '1.jpg').unlink()
    summary = validate(make_config(root), max_images=3)
    assert (summary.checked, summary.num_images) == (3, 5)
    assert [text.split(':')[0][-5:] for text in summary.problems['file']] == ['4.jpg']


def test_pictures_are_drawn_and_broken_files_left_out(root):
    (root / 'val' / '4.jpg').write_bytes(b'')
    validate(make_config(root), show_dir=root / 'out', num_shown=3)
    pictures = sorted(path.name for path in (root / 'out').iterdir())
    assert pictures == ['val_0.png', 'val_2.png']
    assert mmcv.imread(str(root / 'out' / 'val_0.png')).shape[1] > 2 * 3


def test_every_data_set_once_with_its_vocabulary(root):
    cfg = make_config(root, model=dict(train_vocabulary='a', test_vocabulary='b'))
    cfg.test_dataloader = cfg.val_dataloader
    inner = cfg.val_dataloader.dataset.to_dict()
    cfg.train_dataloader = dict(
        dataset=dict(
            type='ConcatDataset',
            datasets=[
                dict(type='RepeatDataset', times=2, dataset=inner),
                dict(inner, ann_file='other.json'),
            ],
        )
    )
    cfg.val_evaluator = dict(type='PanopticMetric')
    cfg.test_evaluator = [dict(type='PanopticMetric'), dict(type='SemanticMetric')]
    entries = find_data(cfg)
    assert [entry.title for entry in entries] == ['train', 'train', 'val, test']
    assert [entry.vocabulary for entry in entries] == ['a', 'a', 'b']
    kinds = [metric['type'] for metric in entries[-1].evaluators]
    assert kinds == ['PanopticMetric', 'SemanticMetric']
    assert [entry.title for entry in find_data(cfg, ['test'])] == ['test']
    with pytest.raises(ValueError, match='no dataloader for train'):
        find_data(make_config(root), ['train'])


def test_vocabulary_is_compared(root):
    cfg = make_config(root)
    cfg.vocabulary = ['stuff: sky', *NAMES[1:2], 'wall', 'stuff: kite']
    summary = validate(cfg)
    assert len(summary.problems['names']) == 2
    assert 'kite' in summary.problems['flags'][0]
    cfg.vocabulary = 'no_such_list'
    assert 'no_such_list' in validate(cfg).problems['names'][0]
    cfg.vocabulary = None
    assert 'no vocabulary' in validate(cfg).notes['names'][0]


def test_hidden_classes_are_compared_before_and_after(root):
    keep = dict(type='KeepSeenClasses', classes=NAMES, seen=NAMES[:3])
    cfg = make_config(root, [keep])
    cfg.vocabulary = NAMES[:3]
    assert not validate(cfg).problems
    cfg.vocabulary = NAMES
    assert '3 classes, the vocabulary 4' in validate(cfg).problems['names'][0]
    keep['classes'] = NAMES[::-1]
    cfg = make_config(root, [keep], train_vocabulary=NAMES)
    cfg.vocabulary = NAMES[:3]
    assert len(validate(cfg).problems['names']) == 4


def segment_with(**changes):
    return lambda c: c['annotations'][1]['segments_info'][0].update(changes)


def first(part, **changes):
    return lambda c: c[part][0].update(changes)


@pytest.mark.parametrize(
    ('edit', 'part'),
    [
        (segment_with(id='9'), '1 images have segments without "id" (int)'),
        (segment_with(id=None), '"category_id" (int or str): 101'),
        (segment_with(id=[9]), 'segments without'),
        (segment_with(category_id=[7]), 'segments without'),
        (segment_with(bbox=None), '1 images have segments whose "bbox" is not 4'),
        (segment_with(bbox=[0, 0, 1]), '"bbox" is not 4 numbers: 101'),
        (segment_with(bbox=[0, 0, 1, '1']), '"bbox" is not 4 numbers: 101'),
        (first('annotations', segments_info=None), '1 of 5 annotations lack'),
        (first('annotations', segments_info=[None]), '(int or str): 100'),
        (first('annotations', image_id=[1]), '"image_id" (int or str)'),
        (first('images', id=[1]), '1 of 5 images lack'),
        (first('images', file_name=None), '"file_name" (str)'),
        (first('images', file_name=''), '"file_name" (str)'),
        (first('images', height='2'), '"height" (number)'),
        (first('categories', id=[1]), '1 of 4 categories lack'),
        (first('categories', color=None), '"color" that is not 3 numbers: wall'),
        (lambda c: c['annotations'].insert(1, None), '; by position: 1'),
        (lambda c: c['images'].append(1), '"width" (number); by position: 5'),
        (lambda c: c.update(images=[]), 'has no images'),
        (lambda c: c.update(categories=[1, 2]), '2 of 2 categories lack'),
        (lambda c: c.update(categories=[]), 'has no categories'),
    ],
)
def test_values_of_other_types_are_listed(root, edit, part):
    path = root / 'annotations' / 'panoptic_val.json'
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    texts = validate(make_config(root), show_dir=root / 'out').problems['json']
    assert any(part in text for text in texts), texts


def test_a_png_without_a_name_is_missing(root):
    path = root / 'annotations' / 'panoptic_val.json'
    path.write_text(path.read_text().replace('"2.png"', 'null'))
    ((kind, (text,)),) = validate(make_config(root), show_dir=root).problems.items()
    assert kind == 'file' and 'panoptic_val/None' in text


def test_files_of_metrics(root):
    things = {3: 'dog', 12: 'kite'}
    metric = dict(type='InstanceMetric', ann_file=write_instances(root, things))
    panoptic = dict(type='PanopticMetric', seg_prefix=str(root / 'nowhere'))
    cfg = make_config(root, val_evaluator=[metric, panoptic])
    ((kind, (text,)),) = validate(cfg).problems.items()
    assert kind == 'file' and 'seg_prefix' in text and 'nowhere' in text
    write_instances(root, {3: 'dog', 7: 'wall'}, images=range(100, 104))
    cfg.val_evaluator = [metric]
    texts = validate(cfg).problems['json']
    assert '7 wall' in texts[0] and texts[1].endswith(': 104')
    Path(metric['ann_file']).write_text('[]')
    assert 'no JSON of instances' in validate(cfg).problems['json'][0]


def test_other_kinds_are_named(root):
    dataset = dict(type='mmdet.CocoDataset', ann_file='x.json')
    cfg = Config(dict(val_dataloader=dict(dataset=dataset)))
    assert 'mmdet.CocoDataset' in validate(cfg).problems['json'][0]


def test_misspelt_keys_are_found(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('val_dataloder = 1')
    with pytest.warns(UserWarning, match="Did you mean 'val_dataloader'"):
        load_data_config(str(path))


@pytest.mark.parametrize(
    ('config', 'images', 'pixels'),
    [
        ('coco_sample', [3], [790227]),
        ('coco_stuff_sample', [13, 13, 8], None),
        ('ade20k_150', [3], None),
    ],
)
def test_real_samples_have_no_problem(shared, monkeypatch, config, images, pixels):
    data = shared / 'data' / ('tiny_ade20k' if config == 'ade20k_150' else '')
    monkeypatch.setenv('MMOVSEG_DATA', str(data))
    path = ROOT / 'configs' / '_base_' / 'datasets' / f'{config}.py'
    summaries = [validate_data(x) for x in find_data(load_data_config(str(path)))]
    assert not any(summary.problems for summary in summaries)
    assert [summary.checked for summary in summaries] == images
    if pixels:
        assert [summary.pixels.sum() for summary in summaries] == pixels
    if config == 'coco_stuff_sample':
        seen, everything, _ = summaries
        assert len(seen.names) == 156 and len(everything.names) == 171
        # The unseen classes move from the histogram to what is ignored.
        kept = [everything.names.index(name) for name in seen.names]
        np.testing.assert_array_equal(seen.pixels, everything.pixels[kept])
        hidden = sum(n for value, n in seen.ignored.items() if value != 255)
        assert hidden == everything.pixels.sum() - seen.pixels.sum() > 0
