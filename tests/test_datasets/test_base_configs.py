import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import mmovseg.datasets
import mmovseg.evaluation  # noqa: F401 (registers)
from mmovseg.datasets import shapeworld
from mmovseg.datasets.panoptic_format import PanopticAnnotations
from mmovseg.registry import DATASETS, TRANSFORMS
from mmovseg.vocabulary import Vocabulary

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / '_base_' / 'datasets'
NAMES = sorted(path.stem for path in CONFIGS.glob('*.py'))


@pytest.fixture(autouse=True)
def scope(monkeypatch):
    init_default_scope('mmovseg')
    monkeypatch.delenv('MMOVSEG_DATA', raising=False)


def load(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


@pytest.mark.parametrize('name', NAMES)
def test_pipelines_build_and_the_vocabulary_exists(name):
    config = load(name)
    assert len(Vocabulary.load(config.vocabulary)) > 1
    for key in ('train_pipeline', 'test_pipeline'):
        for transform in config.get(key, []):
            TRANSFORMS.build(transform)
    packed = config.test_pipeline[-1]['meta_keys']
    assert {'img_id', 'img_path', 'ori_shape', 'img_shape'} <= set(packed)
    loaders = [config[key] for key in config if key.endswith('_dataloader')]
    assert all(loader.dataset.data_root.startswith('data/') for loader in loaders)


@pytest.mark.parametrize('name', NAMES)
def test_the_data_folder_comes_from_the_environment(name, monkeypatch):
    monkeypatch.setenv('MMOVSEG_DATA', '/elsewhere')
    config = load(name)
    text = json.dumps(config.to_dict())
    assert '/elsewhere/' in text
    assert '"data/' not in text


def test_coco_recipe():
    config = load('coco_panoptic')
    assert config.train_dataloader.batch_size * 4 == 16
    pipeline = {step['type']: step for step in config.train_pipeline}
    assert pipeline['RandomResize']['ratio_range'] == (0.1, 2.0)
    assert pipeline['mmdet.Pad']['pad_val'] == {'img': 128, 'seg': 255}
    assert config.test_pipeline[1]['scale'] == (2560, 640)


def ade_files(shared):
    return shared / 'data' / 'tiny_ade20k' / 'ADEChallengeData2016'


def test_vocabularies_have_the_order_and_flags_of_the_annotations(shared):
    pairs = {
        'coco_panoptic': shared / 'data/tiny_coco/annotations/panoptic_val2017.json',
        'coco_sample': shared / 'data/tiny_coco/annotations/panoptic_val2017.json',
        'ade20k_panoptic': ade_files(shared) / 'ade20k_panoptic_train.json',
    }
    for name, path in pairs.items():
        annotations = PanopticAnnotations.load(str(path))
        vocabulary = Vocabulary.load(load(name).vocabulary)
        assert vocabulary.is_thing == annotations.is_thing
        # The lists name classes more freely than the annotations, mostly by one word.
        alike = [
            bool(words(' '.join(synonyms)) & words(name))
            for synonyms, name in zip(
                vocabulary.synonyms, annotations.names, strict=True
            )
        ]
        assert sum(alike) > 0.9 * len(alike)
        shifted = [
            bool(words(' '.join(synonyms)) & words(name))
            for synonyms, name in zip(
                vocabulary.synonyms[1:], annotations.names[:-1], strict=True
            )
        ]
        assert sum(shifted) < 0.2 * len(shifted)


def words(text):
    for mark in ',-;':
        text = text.replace(mark, ' ')
    return set(text.split()) - {'other', 'merged', 'stuff'}


def check_loading(config, length):
    """Load a training batch and build the evaluators."""
    train = DATASETS.build(config.train_dataloader.dataset)
    assert len(train) == length
    loader = {**config.train_dataloader, 'num_workers': 0, 'persistent_workers': False}
    batch = next(iter(Runner.build_dataloader(loader, seed=0)))
    assert len(batch['inputs']) == config.train_dataloader.batch_size
    for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
        assert image.dtype == torch.uint8
        assert sample.gt_sem_seg.sem_seg.shape[-2:] == image.shape[-2:]
        assert sample.gt_instances.masks.masks.shape[-2:] == image.shape[-2:]
    test = DATASETS.build(config.test_dataloader.dataset)
    item = test[0]
    assert 'gt_sem_seg' not in item['data_samples']
    Evaluator(config.test_evaluator).dataset_meta = test.metainfo
    assert test.metainfo['is_thing'] == Vocabulary.load(config.vocabulary).is_thing


def test_shapeworld_trains(tmp_path, monkeypatch):
    from importlib.util import module_from_spec, spec_from_file_location

    tool = CONFIGS.parents[2] / 'tools/dataset_converters/make_shapeworld.py'
    spec = spec_from_file_location('make_shapeworld', tool)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    out = tmp_path / 'shapeworld'
    module.main(
        ['--out', str(out), '--num-train', '9', '--num-val', '2', '--size', '32']
    )
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))
    check_loading(load('shapeworld'), 9)
    annotations = PanopticAnnotations.load(str(out / 'annotations/panoptic_val.json'))
    assert annotations.names == shapeworld.CLASSES


def test_coco_sample_trains(shared, monkeypatch):
    monkeypatch.setenv('MMOVSEG_DATA', str(shared / 'data'))
    check_loading(load('coco_sample'), 3)


def test_coco_recipe_loads_real_photos(shared, monkeypatch, tmp_path):
    """The three photos in the places of the full data set."""
    root = tmp_path / 'coco'
    (root / 'annotations').mkdir(parents=True)
    tiny = shared / 'data' / 'tiny_coco'
    for split in ('train', 'val'):
        (root / f'{split}2017').symlink_to(tiny / 'val2017')
        for name in (
            'panoptic_{}2017',
            'panoptic_{}2017.json',
            'instances_{}2017.json',
        ):
            target = tiny / 'annotations' / name.format('val')
            (root / 'annotations' / name.format(split)).symlink_to(target)
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))
    config = load('coco_panoptic')
    check_loading(config, 3)
    item = DATASETS.build(config.train_dataloader.dataset)[0]
    assert item['inputs'].shape == (3, 1024, 1024)
    item = DATASETS.build(config.test_dataloader.dataset)[0]
    assert min(item['inputs'].shape[1:]) == 640


def test_ade_files_load(shared, monkeypatch, tmp_path):
    root = tmp_path / 'ADEChallengeData2016'
    (root / 'images').mkdir(parents=True)
    tiny = ade_files(shared)
    (root / 'images/validation').symlink_to(tiny / 'images/training')
    for name in (
        'ade20k_panoptic_{}',
        'ade20k_panoptic_{}.json',
        'ade20k_instance_{}.json',
    ):
        (root / name.format('val')).symlink_to(tiny / name.format('train'))
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))
    config = load('ade20k_panoptic')
    dataset = DATASETS.build(config.test_dataloader.dataset)
    assert len(dataset) == 3
    assert dataset.metainfo['classes'][:8][0] == 'wall'
    assert dataset.metainfo['classes'][7] == 'bed'
    assert sum(dataset.metainfo['is_thing']) == 100
    assert dataset[0]['data_samples'].img_id.startswith('ADE_')
    Evaluator(config.test_evaluator).dataset_meta = dataset.metainfo
