import json
import re
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from PIL import Image

import mmovseg.datasets
import mmovseg.evaluation  # noqa: F401 (registers)
from mmovseg.apis.config import check_config
from mmovseg.formats.panoptic_format import PanopticAnnotations
from mmovseg.registry import DATASETS, TRANSFORMS
from mmovseg.shapeworld import drawing as shapeworld
from mmovseg.vocabulary import Vocabulary

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / '_base_' / 'datasets'
NAMES = sorted(path.stem for path in CONFIGS.glob('*.py'))
PROMPT = [name for name in NAMES if name.endswith('_prompt')]


def load(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


@pytest.fixture(autouse=True)
def scope(monkeypatch):
    init_default_scope('mmovseg')
    monkeypatch.delenv('MMOVSEG_DATA', raising=False)


@pytest.mark.parametrize('name', NAMES)
def test_pipelines_build_and_the_vocabulary_exists(name):
    config = load(name)
    assert len(Vocabulary.load(config.vocabulary)) > 1
    for key in ('train_pipeline', 'test_pipeline'):
        for transform in config.get(key, []):
            TRANSFORMS.build(transform)
    if 'test_pipeline' in config:
        packed = set(config.test_pipeline[-1]['meta_keys'])
        assert {'img_path', 'ori_shape', 'img_shape'} <= packed
        # What metrics look the annotation up by; without one it is in the sample.
        assert ('img_id' in packed) == ('panoptic' in config)
    loaders = [config[key] for key in config if key.endswith('_dataloader')]
    datasets = [loader.dataset.get('dataset', loader.dataset) for loader in loaders]
    assert all(dataset.data_root.startswith('data/') for dataset in datasets)


@pytest.mark.parametrize('name', NAMES)
def test_names_are_not_taken_for_misspelt_ones(name):
    check_config({**load(name), 'model': {}})


@pytest.mark.parametrize('name', [n for n in NAMES if 'train_vocabulary' in load(n)])
def test_only_seen_classes_are_trained_on_and_metrics_know_them(name):
    config = load(name)
    steps = [*config.train_pipeline, *(config.labels if name in PROMPT else [])]
    keep = [step for step in steps if step['type'] == 'KeepSeenClasses']
    if name.startswith('shapeworld'):  # drawn without unseen classes
        dataset = config.train_dataloader.dataset
        dataset = dataset.get('dataset', dataset)
        assert dataset.metainfo.vocabulary == config.train_vocabulary
        assert not keep
    else:
        assert keep[0]['classes'] == config.vocabulary
        assert keep[0]['seen'] == config.train_vocabulary
    for key in ('val_evaluator', 'test_evaluator', 'mask_recall'):
        for metric in config.get(key, []):
            if metric['type'] in ('SemanticMetric', 'MaskRecallMetric'):
                assert metric['seen'] == config.train_vocabulary
    assert ('val_evaluator' in config) == (name not in PROMPT)


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


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw nine small pictures to train on and two to test on."""
    from importlib.util import module_from_spec, spec_from_file_location

    tool = CONFIGS.parents[2] / 'tools/dataset_converters/make_shapeworld.py'
    spec = spec_from_file_location('make_shapeworld', tool)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    out = tmp_path / 'shapeworld'
    module.main(
        ['--out', str(out), '--num-train', '9', '--num-val', '2', '--image-size', '32']
    )
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))
    return out


def test_shapeworld_trains(drawn):
    check_loading(load('shapeworld'), 9)
    annotations = PanopticAnnotations.load(str(drawn / 'annotations/panoptic_val.json'))
    assert annotations.names == shapeworld.CLASSES


def test_coco_sample_trains(shared, monkeypatch):
    monkeypatch.setenv('MMOVSEG_DATA', str(shared / 'data'))
    check_loading(load('coco_sample'), 3)


def test_coco_recipe_loads_real_photos(shared, monkeypatch, tmp_path):
    """The three photos in the places of the full dataset."""
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
    (root / 'annotations').mkdir()
    (root / 'annotations/validation').symlink_to(tiny / 'annotations/training')
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))
    config = load('ade20k_panoptic')
    dataset = DATASETS.build(config.test_dataloader.dataset)
    assert len(dataset) == 3
    assert dataset.metainfo['classes'][:8][0] == 'wall'
    assert dataset.metainfo['classes'][7] == 'bed'
    assert sum(dataset.metainfo['is_thing']) == 100
    sample = dataset[0]['data_samples']
    assert sample.img_id.startswith('ADE_')
    path = tiny / 'annotations/training' / f'{sample.img_id}.png'
    values = mmcv.imread(str(path), 'unchanged').astype(int)
    labels = sample.gt_sem_seg.sem_seg[0].numpy()
    assert (labels == np.where(values == 0, 255, values - 1)).all()
    Evaluator(config.test_evaluator).dataset_meta = dataset.metainfo


# Semantic sets, seen and unseen classes


def first_batch(loader):
    loader = {**loader, 'num_workers': 0, 'persistent_workers': False}
    loader = Runner.build_dataloader(loader, seed=0)
    return loader.dataset, next(iter(loader))


def label_sets(batch):
    """The classes of every image, unlabeled pixels left out."""
    maps = [sample.gt_sem_seg.data for sample in batch['data_samples']]
    for image, labels in zip(batch['inputs'], maps, strict=True):
        assert image.dtype == torch.uint8
        assert labels.shape == (1, *image.shape[1:])
    return [set(labels.unique().tolist()) - {255} for labels in maps]


def check_training(config, size=None):
    """Load a training batch; no label may be beyond the seen classes."""
    _, batch = first_batch(config.train_dataloader)
    found = label_sets(batch)
    seen = Vocabulary.load(config.train_vocabulary)
    assert set().union(*found) <= set(range(len(seen)))
    if size is not None:
        assert all(image.shape == (3, *size) for image in batch['inputs'])


def check_testing(config):
    """Score the ground truth against itself; return the dataset."""
    dataset, batch = first_batch(config.test_dataloader)
    assert batch['inputs'][0].dtype == torch.uint8
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    result = score_truth(evaluator, dataset)
    expected = ['mIoU', 'pAcc']
    if 'train_vocabulary' in config:
        expected += ['mIoU_seen', 'mIoU_unseen', 'hIoU']
        assert dataset.metainfo['classes'] == Vocabulary.load(config.vocabulary).names
    assert [result[f'semantic/{name}'] for name in expected] == [100] * len(expected)
    return dataset


def score_truth(evaluator, dataset):
    """Take the annotation for the prediction."""
    for item in dataset:
        sample = item['data_samples']
        assert sample.gt_sem_seg.shape == sample.ori_shape
        sample.pred_sem_seg = sample.gt_sem_seg
        evaluator.process([sample])
    return evaluator.evaluate(len(dataset))


def test_shapeworld_trains_on_seen_classes(drawn):
    config = load('shapeworld_zs')
    names = Vocabulary.load(config.vocabulary).names
    seen = Vocabulary.load(config.train_vocabulary).names
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert dataset.metainfo['classes'] == seen == shapeworld.SEEN
    for index, item in enumerate(dataset):
        labels = {s['category'] for s in dataset.get_data_info(index)['segments_info']}
        packed = {'inputs': [item['inputs']], 'data_samples': [item['data_samples']]}
        assert label_sets(packed) == [labels]
    evaluator = Evaluator(config.test_evaluator + config.mask_recall)
    test = DATASETS.build(config.test_dataloader.dataset)
    evaluator.dataset_meta = test.metainfo
    assert [metric.class_names for metric in evaluator.metrics] == [names, names]
    crops, batch = first_batch(load('shapeworld_zs_prompt').train_dataloader)
    assert all(len(labels) == 1 for labels in label_sets(batch))
    assert len(crops) % 32 == 0


def test_coco_stuff_sample_loads(shared, monkeypatch):
    monkeypatch.setenv('MMOVSEG_DATA', str(shared / 'data'))
    config = load('coco_stuff_sample')
    check_training(config, (256, 256))
    assert len(check_testing(config)) == 8
    assert len(DATASETS.build(config.val_dataloader.dataset)) == 13
    crops, batch = first_batch(load('coco_stuff_sample_prompt').train_dataloader)
    assert len(crops) == 51 * 32  # classes that the 13 photos show
    assert all(len(labels) == 1 for labels in label_sets(batch))


@pytest.fixture
def coco_stuff(shared, monkeypatch, tmp_path):
    """The sample in the places of the full dataset."""
    tiny = shared / 'data' / 'tiny_cocostuff'
    (tmp_path / 'coco/stuffthingmaps').mkdir(parents=True)
    for name in ('train2017', 'val2017'):
        for folder in ('', 'stuffthingmaps'):
            (tmp_path / 'coco' / folder / name).symlink_to(tiny / folder / name)
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))


def scales(config):
    return next(step for step in config.train_pipeline if 'scales' in step)['scales']


def test_coco_stuff_recipes(coco_stuff):
    config = load('coco_stuff_156')
    check_training(config, (512, 512))
    item = DATASETS.build(config.test_dataloader.dataset)[0]
    assert min(item['inputs'].shape[1:]) == 512
    assert scales(config) == [256, 307, 358, 409, 460, 512, 563, 614, 665, 716, 768]
    config = load('coco_stuff_156_proposals')
    check_training(config, (640, 640))
    assert scales(config) == [*range(320, 961, 64)]
    assert config.val_evaluator[0]['type'] == 'MaskRecallMetric'
    config = load('coco_stuff_156_prompt')
    config.train_dataloader.dataset.num_workers = 0
    crops, batch = first_batch(config.train_dataloader)
    assert all(image.shape == (3, 224, 224) for image in batch['inputs'])
    assert len(crops) == 51 * 32
    assert Path(config.train_dataloader.dataset.cache_file).is_file()


@pytest.fixture
def voc(shared, monkeypatch, tmp_path):
    """The sample with val maps where the full dataset has them."""
    tiny = shared / 'data' / 'tiny_voc' / 'VOC2012'
    (tmp_path / 'VOC2012').mkdir()
    for name in ('JPEGImages', 'ImageSets', 'SegmentationClassAug'):
        (tmp_path / 'VOC2012' / name).symlink_to(tiny / name)
    maps = tmp_path / 'VOC2012' / 'SegmentationClass'
    maps.symlink_to(tiny / 'SegmentationClassAug')
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))


def test_voc_recipes(voc):
    config = load('voc_15')
    check_training(config, (512, 512))
    assert config.test_dataloader.dataset == load('voc_20').test_dataloader.dataset
    crops = load('voc_15_prompt').train_dataloader
    crops.dataset.num_workers = 0
    crops, batch = first_batch(crops)
    assert len(crops) % 128 == 0
    assert all(len(labels) == 1 for labels in label_sets(batch))
    config = load('voc_20')
    dataset = check_testing(config)
    assert dataset.metainfo['classes'] == Vocabulary.load(config.vocabulary).names
    assert min(dataset[0]['inputs'].shape[1:]) == 512


def test_ade_semantic_loads(shared, monkeypatch):
    monkeypatch.setenv('MMOVSEG_DATA', str(shared / 'data' / 'tiny_ade20k'))
    config = load('ade20k_150')
    dataset = check_testing(config)
    assert len(dataset) == 3
    assert min(dataset[0]['inputs'].shape[1:]) == 512
    classes = dataset.metainfo['classes']
    assert len(classes) == len(Vocabulary.load(config.vocabulary))
    path = dataset.get_data_info(0)['seg_map_path']
    values = mmcv.imread(path, 'unchanged').astype(int)
    labels = dataset[0]['data_samples'].gt_sem_seg.data[0]
    assert (labels.numpy() == np.where(values == 0, 255, values - 1)).all()


def test_context_maps_load(monkeypatch, tmp_path):
    root = tmp_path / 'VOCdevkit/VOC2010'
    values = np.array([[0, 1, 59, 30]], np.uint8).repeat(30, 0).repeat(10, 1)
    for folder in ('JPEGImages', 'SegmentationClassContext', 'ImageSets'):
        (root / folder).mkdir(parents=True)
    mmcv.imwrite(np.zeros((30, 40, 3), np.uint8), str(root / 'JPEGImages/a.jpg'))
    mmcv.imwrite(values, str(root / 'SegmentationClassContext/a.png'))
    listing = root / 'ImageSets/SegmentationContext/val.txt'
    listing.parent.mkdir()
    listing.write_text('a\n')
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))
    config = load('context_59')
    dataset, batch = first_batch(config.test_dataloader)
    assert batch['inputs'][0].shape == (3, 512, 683)
    labels = batch['data_samples'][0].gt_sem_seg.data[0, 0, ::10]
    assert labels.tolist() == [255, 0, 58, 29]
    names = Vocabulary.load(config.vocabulary).names
    differ = [
        pair
        for pair in zip(dataset.metainfo['classes'], names, strict=True)
        if len(set(pair)) > 1
    ]
    assert differ == [('table', 'diningtable')]


# More than 255 classes, and layouts of their own


def write_tif(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.asarray(values, np.uint16)
    Image.fromarray(values).save(path, compression='tiff_deflate')


def write_photo(path, height, width):
    mmcv.imwrite(np.zeros((height, width, 3), np.uint8), str(path))


# Labels around a byte's end, which 8 bits would fold onto other classes or onto 255.
LARGE = [[0, 255, 256], [257, 65535, 458]]


@pytest.mark.parametrize('name', ['ade20k_847', 'context_459'])
def test_labels_of_16_bits_reach_the_metric(name, monkeypatch, tmp_path):
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))
    config = load(name)
    options = config.test_dataloader.dataset
    root, prefix = Path(options.data_root), options.data_prefix
    write_photo(root / prefix.img_path / 'a.jpg', 2, 3)
    write_tif(root / prefix.seg_map_path / 'a.tif', LARGE)
    if 'ann_file' in options:
        (root / options.ann_file).parent.mkdir(parents=True)
        (root / options.ann_file).write_text('a\n')
    dataset, batch = first_batch(config.test_dataloader)
    assert batch['data_samples'][0].gt_sem_seg.data[0].tolist() == LARGE
    assert check_testing(config).metainfo['classes'][256]
    assert len(dataset.metainfo['classes']) == len(Vocabulary.load(config.vocabulary))
    # One of five annotated pixels wrong, with a label that differs by a byte only.
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    sample = dataset[0]['data_samples']
    predicted = sample.gt_sem_seg.data.clone()
    predicted[0, 0, 2] = 0
    sample.pred_sem_seg = PixelData(data=predicted)
    evaluator.process([sample])
    result = evaluator.evaluate(1)
    assert result['semantic/pAcc'] == 80
    assert result['semantic/mIoU'] == pytest.approx((50 + 3 * 100) / 5)


@pytest.mark.parametrize(
    ('name', 'plain'), [('ade20k_847', 'ade_847'), ('context_459', 'pc_459')]
)
def test_class_names_stand_where_the_vocabulary_has_them(name, plain):
    """The lists of single names and of synonyms number the classes alike."""
    synonyms = Vocabulary.load(load(name).vocabulary).synonyms
    names = Vocabulary.load(f'plain/{plain}').names
    alike = [
        bool(words(' '.join(group)) & words(name))
        for group, name in zip(synonyms, names, strict=True)
    ]
    assert sum(alike) > 0.95 * len(alike)


def test_ade_full_sample_loads(shared, monkeypatch, tmp_path):
    tiny = shared / 'data/tiny_ade20k/ADE20K_2021_17_01'
    for folder in ('images_detectron2', 'annotations_detectron2'):
        (tmp_path / 'ADE20K_2021_17_01' / folder).mkdir(parents=True)
        target = tmp_path / 'ADE20K_2021_17_01' / folder / 'validation'
        target.symlink_to(tiny / folder / 'training')
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))
    dataset = check_testing(load('ade20k_847'))
    assert len(dataset) == 3
    assert min(dataset[0]['inputs'].shape[1:]) == 640
    found = set()
    for item in dataset:
        found |= set(item['data_samples'].gt_sem_seg.data.unique().tolist())
    assert 65535 in found
    assert max(found - {65535}) > 255


def test_coco_stuff_171_recipe(coco_stuff):
    config = load('coco_stuff_171')
    _, batch = first_batch(config.train_dataloader)
    assert set().union(*label_sets(batch)) <= set(range(171))
    assert all(image.shape == (3, 512, 512) for image in batch['inputs'])
    dataset = check_testing(config)
    assert dataset.metainfo['classes'] == Vocabulary.load(config.vocabulary).names
    same, other = load('coco_stuff_156').labels, config.labels
    assert same == other


def test_voc_21_has_a_background(voc):
    config = load('voc_21')
    dataset = check_testing(config)
    assert dataset.metainfo['classes'][0] == 'background'
    ours, maps = dataset[0], load('voc_20')
    labels = ours['data_samples'].gt_sem_seg.data
    without = DATASETS.build(maps.test_dataloader.dataset)[0]
    without = without['data_samples'].gt_sem_seg.data.int()
    assert {0, 255} < set(labels.unique().tolist())
    assert (without[labels == 0] == 255).all()
    inner = (labels > 0) & (labels < 255)
    assert (labels[inner].int() - 1 == without[inner]).all()


@pytest.mark.parametrize('name', ['context_59', 'voc_20'])
def test_eovseg_sees_the_same_labels_larger(name):
    ours, other = load(f'{name}_640'), load(name)
    assert ours.test_pipeline[1]['scale'] == 640
    assert ours.test_pipeline[1]['max_size'] == 2560
    ours.test_pipeline[1] = other.test_pipeline[1]
    ours.test_dataloader.dataset.pipeline = ours.test_pipeline
    ours.vocabulary = other.vocabulary
    assert ours.to_dict() == other.to_dict()


@pytest.fixture
def cityscapes(monkeypatch, tmp_path):
    """One drawn photo: road 7, a car and a group of cars 26, an ego vehicle 1."""
    root = tmp_path / 'cityscapes'
    stem = 'aachen_000000_000019'
    write_photo(root / f'leftImg8bit/val/aachen/{stem}_leftImg8bit.png', 2, 3)
    labels = np.array([[7, 7, 26], [1, 26, 26]], np.uint8)
    path = root / f'gtFine/val/aachen/{stem}_gtFine_labelIds.png'
    mmcv.imwrite(labels, str(path))
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))


def test_cityscapes_label_ids_load(cityscapes):
    dataset = check_testing(load('cityscapes_19'))
    labels = dataset[0]['data_samples'].gt_sem_seg.data[0]
    assert labels.tolist() == [[0, 0, 13], [255, 13, 13]]
    assert dataset.metainfo['classes'][13] == 'car'


def test_docs_tell_of_all_data_sets_and_tools():
    root = CONFIGS.parents[2]
    text = (root / 'docs' / 'datasets.md').read_text()
    table = text[: text.index('## Folders')]
    suffixes = {'coco_stuff_156': ('_proposals', '_prompt')}
    told = set(re.findall(r'`(\w+)`', table))
    for name, others in suffixes.items():
        told |= {name + other for other in others if f'`{other}`' in table}
    assert set(NAMES) <= told
    for tool in (root / 'tools' / 'dataset_converters').glob('*.py'):
        assert f'`{tool.name}`' in table
        assert f'python tools/dataset_converters/{tool.name}' in text
