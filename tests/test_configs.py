"""Every config that users run loads, follows the rules and builds a working model."""

import ast

import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmovseg.registry import DATASETS, METRICS, MODELS
from mmovseg.vocabulary import Vocabulary

TINY = {'CLIPConvBackbone': 'tiny-convnext', 'CLIPViTBackbone': 'tiny-vit'}


def leaves(root):
    return sorted(
        path
        for path in [
            *root.glob('configs/*/*.py'),
            *root.glob('projects/*/configs/*.py'),
        ]
        if path.parent.name != '_base_'
    )


def pytest_generate_tests(metafunc):
    if 'leaf' in metafunc.fixturenames:
        paths = leaves(metafunc.config.rootpath)
        metafunc.parametrize('leaf', paths, ids=[path.stem for path in paths])


def with_tiny_clips(model):
    """Swap every CLIP for a tiny one without weights, at any depth."""
    for part in model.values():
        if isinstance(part, dict):
            if 'pretrained' in part:
                part['pretrained'] = None
                part['model_name'] = TINY.get(part['type'], 'tiny-convnext')
            with_tiny_clips(part)
    return model


def depth(config):
    inner = [depth(v) for v in config.values() if isinstance(v, dict)]
    return 1 + max(inner, default=0)


def test_there_are_configs(pytestconfig):
    assert len(leaves(pytestconfig.rootpath)) >= 8


def test_leaf_has_a_docstring_and_inherits_bases_only(leaf):
    tree = ast.parse(leaf.read_text())
    assert ast.get_docstring(tree)
    base = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_'
    )
    for name in base:
        path = leaf.parent / name
        assert path.is_file()
        assert '_base_' in path.resolve().parts
        assert '_base_ =' not in path.read_text()
    assert '_delete_' not in leaf.read_text()


def test_types_are_registered_and_the_model_is_flat(leaf):
    config = Config.fromfile(leaf)
    assert config.default_scope == 'mmovseg'
    assert depth(config.model) <= 3
    assert DATASETS.get(config.test_dataloader.dataset.type)
    for metric in config.test_evaluator:
        assert METRICS.get(metric.type)


def test_vocabularies_fit_the_annotation(leaf):
    """A leaf that trains learns the classes of its own data set."""
    config = Config.fromfile(leaf)
    test = Vocabulary.load(config.model.test_vocabulary)
    assert test == Vocabulary.load(config.vocabulary)
    if 'train_dataloader' in config:
        assert Vocabulary.load(config.model.train_vocabulary) == test


def test_model_trains_and_predicts(leaf):
    model = with_tiny_clips(Config.fromfile(leaf).model)
    for part in (model, model.get('decoder', {})):
        if 'num_queries' in part:
            part.num_queries = 5
    if 'criterion' in model:
        model.criterion.num_points = 64
    model = MODELS.build(model)
    size = (64, 96)
    data = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=(32, 48)))
    thing = model.train_vocabulary.is_thing.index(True)
    masks = torch.zeros(1, *size, dtype=torch.bool)
    masks[:, 8:40, 8:60] = True
    data.gt_instances = InstanceData(labels=torch.tensor([thing]), masks=masks)
    data.gt_sem_seg = PixelData(sem_seg=torch.full((1, *size), 255))
    image = torch.randint(0, 256, (3, *size)).byte()
    batch = dict(inputs=[image], data_samples=[data])
    losses = model.train()(**model.data_preprocessor(batch), mode='loss')
    total = sum(losses.values())
    total.backward()
    assert total.isfinite()
    result = model.eval().test_step(batch)[0]
    assert result.pred_panoptic_seg.sem_seg.shape == (1, 32, 48)
    names = result.pred_panoptic_seg.metainfo['label_names']
    assert tuple(names) == model.vocabulary.names
