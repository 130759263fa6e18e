import json
import random
from collections import Counter

import mmcv
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmovseg.datasets import ClassCrops
from mmovseg.datasets.class_crops import draw_samples

CLASSES = ['sky', 'dog', 'sea']


@pytest.fixture
def dataset(tmp_path):
    """Four pictures; the second shows no class, 'sea' is in the last one only."""
    init_default_scope('mmovseg')
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir()
    rng = np.random.RandomState(0)
    for name, labels in zip('abcd', ([0, 1], [255], [1], [2, 255, 0]), strict=True):
        values = np.array(labels, np.uint8).repeat(12)[None].repeat(20, 0)
        mmcv.imwrite(values, str(tmp_path / f'labels/{name}.png'))
        image = rng.randint(0, 256, (*values.shape, 3), dtype=np.uint8)
        mmcv.imwrite(image, str(tmp_path / f'images/{name}.jpg'))
    return {
        'type': 'mmseg.BaseSegDataset',
        'metainfo': {'classes': CLASSES},
        'data_root': str(tmp_path),
        'data_prefix': {'img_path': 'images', 'seg_map_path': 'labels'},
        'pipeline': [{'type': 'LoadSemanticAnnotations'}],
    }


PIPELINE = [
    {'type': 'SeedSample'},
    {'type': 'LoadImageFromFile'},
    {'type': 'CropClass', 'size': 8},
    {'type': 'mmseg.PackSegInputs'},
]


def names_of(crops):
    info = crops.dataset.get_data_info
    return [(info(i)['img_path'][-5], label) for i, label in crops.samples]


def test_every_class_equally_often_from_images_that_show_it(dataset):
    crops = ClassCrops(dataset, PIPELINE, samples_per_class=40)
    assert len(crops) == 120
    assert Counter(label for _, label in crops.samples) == dict.fromkeys(range(3), 40)
    shown = {0: {'a', 'd'}, 1: {'a', 'c'}, 2: {'d'}}
    drawn = {label: set() for label in shown}
    for name, label in names_of(crops):
        drawn[label].add(name)
    assert drawn == shown
    assert tuple(crops.metainfo['classes']) == tuple(CLASSES)


def test_a_sample_shows_its_class_only(dataset):
    crops = ClassCrops(dataset, PIPELINE, samples_per_class=2)
    for (_, label), item in zip(crops.samples, crops, strict=False):
        assert item['inputs'].shape == (3, 8, 8)
        found = set(item['data_samples'].gt_sem_seg.data.unique().tolist())
        assert found == {label}  # its box is full of it


def test_the_draw_is_that_of_the_seed():
    classes = [[0, 1], [1], [0]]
    assert draw_samples(classes, 9, 0) == draw_samples(classes, 9, 0)
    assert draw_samples(classes, 9, 0) != draw_samples(classes, 9, 1)
    # A class more changes nothing for the others.
    more = draw_samples([[0, 1, 2], [1], [0]], 9, 0)
    assert [s for s in more if s[1] < 2] == draw_samples(classes, 9, 0)


def test_seen_classes_are_renumbered_and_others_never_drawn(dataset):
    keep = {'type': 'KeepSeenClasses', 'classes': CLASSES, 'seen': ['sea', 'sky']}
    dataset['pipeline'].append(keep)
    crops = ClassCrops(dataset, PIPELINE, samples_per_class=1)
    assert [label for _, label in crops.samples] == [0, 1]
    assert names_of(crops)[0] == ('d', 0)


def test_worker_processes_find_the_same(dataset):
    one = ClassCrops(dataset, PIPELINE)
    assert ClassCrops(dataset, PIPELINE, num_workers=1).samples == one.samples


def test_the_cache_is_used_and_noticed_to_be_old(dataset, tmp_path, monkeypatch):
    path = tmp_path / 'new' / 'classes.json'
    first = ClassCrops(dataset, PIPELINE, cache_file=str(path))
    assert json.loads(path.read_text())['classes'] == [[0, 1], [], [1], [0, 2]]
    read = []
    find = ClassCrops.find_classes
    monkeypatch.setattr(
        ClassCrops, 'find_classes', lambda self, i: read.append(i) or find(self, i)
    )
    again = ClassCrops(dataset, PIPELINE, cache_file=str(path))
    assert again.samples == first.samples
    assert read == []
    dataset['pipeline'].append(
        {'type': 'KeepSeenClasses', 'classes': CLASSES, 'seen': ['sea']}
    )
    other = ClassCrops(dataset, PIPELINE, cache_file=str(path))
    assert read == [0, 1, 2, 3]
    assert {label for _, label in other.samples} == {0}


def test_augmentation_follows_the_seed_of_the_sampler(dataset):
    """A sample is the same whatever was loaded before, so that runs can be resumed."""
    loader = {
        'batch_size': 6,
        'num_workers': 0,
        'sampler': {'type': 'SeededSampler', 'shuffle': True},
        'dataset': {
            'type': 'ClassCrops',
            'dataset': dataset,
            'pipeline': PIPELINE,
            'samples_per_class': 4,
        },
    }
    batches = []
    for state in (1, 2):
        random.seed(state)
        batches.append(next(iter(Runner.build_dataloader(loader, seed=0)))['inputs'])
    assert all((a == b).all() for a, b in zip(*batches, strict=True))


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'samples_per_class': 0}, 'samples_per_class must be at least 1, got 0'),
        ({'num_workers': -1}, 'num_workers must be at least 0, got -1'),
    ],
)
def test_wrong_settings_are_refused(dataset, options, words):
    with pytest.raises(ValueError, match=words):
        ClassCrops(dataset, PIPELINE, **options)


def test_a_data_set_without_labels_is_refused(dataset):
    decode = {'type': 'LoadSemanticAnnotations', 'class_values': [77]}
    dataset['pipeline'] = [decode]
    with pytest.raises(ValueError, match='None of the 4 images has a labeled pixel'):
        ClassCrops(dataset, PIPELINE)


def test_an_inner_pipeline_that_skips_is_refused(dataset):
    dataset['pipeline'].append(
        {
            'type': 'KeepSeenClasses',
            'classes': CLASSES,
            'seen': ['sea'],
            'skip_empty': True,
        }
    )
    with pytest.raises(ValueError, match=r'a\.png; switch that off \(skip_empty\)'):
        ClassCrops(dataset, PIPELINE)
