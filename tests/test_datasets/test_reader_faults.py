"""Every reader of panoptic files makes every check: dataset, metrics, validator."""

import copy
import json

import numpy as np
import pytest
import torch
from panoptic_files import dataset_config, segment, write_dataset

from mmovseg.datasets import PanopticDataset
from mmovseg.datasets.validation import PanopticCheck
from mmovseg.evaluation import MaskRecallMetric, PanopticMetric, SemanticMetric

IDS = {'a': np.array([[5, 5, 6]]), 'b': np.array([[5, 7, 7]])}
LABELS = {'a': np.array([[0, 0, 1]]), 'b': np.array([[0, 1, 1]])}


def write(root, edit=None):
    """Two images with the ids 100 and 101: a wall (label 0) and a dog (label 1)."""
    paths = write_dataset(
        root,
        {
            'a': (IDS['a'], [segment(5, 7), segment(6, 3)]),
            'b': (IDS['b'], [segment(5, 7), segment(7, 3)]),
        },
    )
    path = root / 'annotations/panoptic_val.json'
    content = json.loads(path.read_text())
    if edit:
        edit(content)
    path.write_text(json.dumps(content))
    return paths


def samples():
    for image_id, labels in zip((100, 101), LABELS.values(), strict=True):
        labels = torch.tensor(labels)[None]
        yield {
            'img_id': image_id,
            'img_path': f'{image_id}.jpg',
            'pred_sem_seg': {'sem_seg': labels},
            'pred_panoptic_seg': {'sem_seg': labels + 1000, 'label_divisor': 1000},
            'pred_proposals': {'masks': labels == torch.arange(4)[:, None, None]},
        }


def read_dataset(root, paths):
    pipeline = [
        {'type': f'mmovseg.{name}'}
        for name in ('LoadImageFromFile', 'LoadPanopticAnnotations')
    ]
    dataset = PanopticDataset(**dataset_config(root, pipeline))
    return [len(dataset[index]['gt_masks']) for index in range(len(dataset))]


def evaluate(kind):
    def run(root, paths):
        metric = kind(**paths)
        metric.dataset_meta = {}
        metric.process(None, list(samples()))
        return metric.evaluate(2)

    return run


READERS = {
    'dataset': read_dataset,
    **{
        kind.__name__: evaluate(kind)
        for kind in (PanopticMetric, SemanticMetric, MaskRecallMetric)
    },
}


def first(part, **changes):
    return lambda content: content[part][0].update(changes)


def part(**changes):
    return lambda c: c['annotations'][0]['segments_info'][0].update(changes)


def repeat(part, **changes):
    return lambda c: c[part].append({**copy.deepcopy(c[part][0]), **changes})


FAULTS = {
    'image id of another type': (first('images', id='100'), 'another type'),
    'annotated id of another type': (first('annotations', image_id='100'), "'100'"),
    'annotation of no image': (first('annotations', image_id=9), 'not listed'),
    'annotation without image': (first('annotations', image_id=None), 'image_id'),
    'an image id twice': (repeat('images', file_name='c.jpg'), 'more than once: 100'),
    'an image file twice': (repeat('images', id=9), 'more than once: a.jpg'),
    'an annotation twice': (repeat('annotations'), 'more than once: 100'),
    'a PNG twice': (first('annotations', file_name='b.png'), 'more than once: b.png'),
    'a category twice': (repeat('categories'), 'more than once: 7'),
    'category of another type': (part(category_id='7'), 'of another type'),
    'unknown category': (part(category_id=8), 'unknown category 8'),
    'isthing is missing': (lambda c: c['categories'][0].pop('isthing'), 'wall'),
    'isthing is a string': (first('categories', isthing='0'), '"isthing", 0 or 1'),
    'isthing is null': (first('categories', isthing=None), '"isthing", 0 or 1'),
    'isthing is 2': (first('categories', isthing=2), '"isthing", 0 or 1'),
    'iscrowd is a string': (part(iscrowd='0'), r"100 \(segment 5: '0'\)"),
    'iscrowd is null': (part(iscrowd=None), '"iscrowd" that is not 0 or 1'),
    'iscrowd is 2': (part(iscrowd=2), '"iscrowd" that is not 0 or 1'),
    'segment id is a string': (part(id='5'), 'segments without "id"'),
    'segment id is a float': (part(id=5.0), 'segments without "id"'),
    'segment id is void': (part(id=0), r'\b0\b'),
    'segment id is listed twice': (part(id=6), 'listed twice'),
    'PNG outside': (first('annotations', file_name='../x.png'), 'inside of it: ../x'),
    'PNG with a root': (first('annotations', file_name='/x.png'), 'inside of it: /x'),
    'PNG without name': (first('annotations', file_name=''), 'inside of it'),
    'bbox with NaN': (part(bbox=[0, 0, np.nan, 1]), '"bbox" is not 4 numbers: 100'),
    'no size': (lambda c: c['images'][0].pop('height'), '"height"'),
    'another size': (first('images', height=2), r'\(1, 3\).*\(2, 3\)'),
    'a name that is a number': (first('images', file_name=5), '"file_name"'),
    'a segment not listed': (
        lambda c: c['annotations'][0]['segments_info'].pop(),
        r'PNG.*\b6\b',
    ),
    'an image without annotation': (lambda c: c['annotations'].pop(), r'PNG.*\b7\b'),
    'no list of images': (lambda c: c.pop('images'), "'images'"),
    'a list of nothing': (lambda c: c['annotations'].append(None), '1 of 3 annota'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_every_reader_names_the_fault(tmp_path, fault):
    edit, words = FAULTS[fault]
    paths = write(tmp_path, edit)
    for read in READERS.values():
        with pytest.raises(ValueError, match=words) as error:
            read(tmp_path, paths)
        assert 'panoptic_val' in str(error.value)
    check = PanopticCheck(PanopticDataset(**dataset_config(tmp_path, lazy_init=True)))
    for index in range(len(check)):
        check.found.add(check.check(index))
    assert check.found.problems


SOUND = {
    'as written': None,
    'png with a dot': first('annotations', file_name='./a.png'),
    'png up and down': first('annotations', file_name='x/../a.png'),
    'png without key': lambda c: c['annotations'][0].pop('file_name'),
    'flags as booleans': lambda c: [
        first('categories', isthing=False)(c),
        part(iscrowd=False)(c),
    ],
    'no iscrowd': lambda c: c['annotations'][0]['segments_info'][0].pop('iscrowd'),
    'ids as strings': lambda c: (
        [category.update(id=str(category['id'])) for category in c['categories']]
        + [
            entry.update(category_id=str(entry['category_id']))
            for annotation in c['annotations']
            for entry in annotation['segments_info']
        ]
    ),
}


@pytest.mark.parametrize('name', SOUND)
def test_every_reader_takes_what_is_clear(tmp_path, name):
    paths = write(tmp_path, SOUND[name])
    assert read_dataset(tmp_path, paths) == [1, 1]
    names = {'PanopticMetric': 'panoptic/PQ', 'SemanticMetric': 'semantic/mIoU'}
    names['MaskRecallMetric'] = 'masks/recall_50'
    for kind, result in names.items():
        assert READERS[kind](tmp_path, paths)[result] == 100
    check = PanopticCheck(PanopticDataset(**dataset_config(tmp_path, lazy_init=True)))
    assert not check.found.problems


def test_a_dataset_of_crowds_is_told(tmp_path):
    def edit(content):
        for annotation in content['annotations']:
            for entry in annotation['segments_info']:
                entry['iscrowd'] = 1

    write(tmp_path, edit)
    check = PanopticCheck(PanopticDataset(**dataset_config(tmp_path, lazy_init=True)))
    assert 'anything but a crowd' in check.found.problems['use'][0]


def test_a_filter_that_leaves_nothing_is_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match='drops all 2 images'):
        PanopticDataset(**dataset_config(tmp_path, filter_cfg={'min_size': 99}))


def test_annotations_of_images_not_listed_are_left_out_with_a_warning(
    tmp_path, monkeypatch
):
    """As in a file whose images were thinned out."""
    texts = []
    monkeypatch.setattr(
        'mmovseg.formats.annotation_file.print_log',
        lambda text, *_: texts.append(text),
    )
    paths = write(tmp_path, lambda content: content['images'].pop())
    assert read_dataset(tmp_path, paths) == [1]
    assert texts[0].endswith('are of images that are not listed: 101')
