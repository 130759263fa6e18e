"""Every config that users run loads, follows the rules and builds a working model."""

import ast

import pytest
import state_names
import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from small_models import made_small

from mmovseg.apis import load_config
from mmovseg.registry import DATASETS, METRICS, MODELS
from mmovseg.shapeworld.drawing import SEEN
from mmovseg.vocabulary import Vocabulary


def leaves(root):
    return sorted(
        path
        for path in [
            *root.glob('configs/*/*.py'),
            *root.glob('projects/*/configs/*.py'),
        ]
        if path.parent.name != '_base_'
    )


def distinct(paths):
    """Of leaves whose small models differ in vocabularies only, take one.

    It is the one of fewest names.
    """
    found = {}
    for path in paths:
        model = Config.fromfile(path).model
        lists = {model.pop('train_vocabulary'), model.pop('test_vocabulary')}
        size = sum(len(Vocabulary.load(name).all_names) for name in lists)
        model = str(made_small(model))
        if size < found.get(model, (float('inf'),))[0]:
            found[model] = size, path
    return [path for _, path in found.values()]


def pytest_generate_tests(metafunc):
    paths = leaves(metafunc.config.rootpath)
    for name, choose in (('leaf', list), ('model_leaf', distinct)):
        if name in metafunc.fixturenames:
            built = name == 'model_leaf'
            chosen = [
                pytest.param(
                    path,
                    id=path.stem,
                    marks=pytest.mark.ops if built and needs_ops(path) else (),
                )
                for path in choose(paths)
            ]
            metafunc.parametrize(name, chosen)


def depth(config):
    """Count the levels of our own parts; those of other packages have their rules.

    ``norm_cfg`` and the like are no parts.
    """
    if '.' in config.get('type', ''):
        return 1
    inner = [
        depth(part)
        for key, part in config.items()
        if isinstance(part, dict) and not key.endswith('_cfg')
    ]
    return 1 + max(inner, default=0)


def needs_ops(path):
    return 'mmdet.' in str(Config.fromfile(path).model)


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


@pytest.mark.filterwarnings('error::UserWarning')
def test_types_are_registered_and_the_model_is_flat(leaf):
    config = load_config(leaf)  # finds no mistakes, and warns of none
    assert config.default_scope == 'mmovseg'
    assert depth(config.model) <= 3
    if config.model.type == 'PromptClassifier':  # has nothing to test
        assert DATASETS.get(config.train_dataloader.dataset.type)
        return
    assert DATASETS.get(config.test_dataloader.dataset.type)
    for metric in config.test_evaluator:
        assert METRICS.get(metric.type)


def test_vocabularies_fit_the_annotation(leaf):
    """A leaf that trains learns the classes of its data set that it calls seen."""
    config = Config.fromfile(leaf)
    test = Vocabulary.load(config.model.test_vocabulary)
    train = Vocabulary.load(config.model.train_vocabulary)
    annotated = Vocabulary.load(config.vocabulary)
    seen = Vocabulary.load(config.get('train_vocabulary', config.vocabulary))
    assert test == (seen if config.model.type == 'PromptClassifier' else annotated)
    if config.get('train_dataloader'):
        assert train == seen
        assert set(train.all_names) <= set(annotated.all_names)
        if config.vocabulary == 'shapeworld':  # all stages of both models
            assert train.names == SEEN
            dataset = config.train_dataloader.dataset
            dataset = dataset.get('dataset', dataset)
            assert dataset.metainfo.vocabulary == config.model.train_vocabulary
            assert dataset.ann_file == 'annotations/panoptic_train.json'


def make_batch(model):
    """Return a photo of noise with one thing (and so one class) in it."""
    size = (64, 64) if hasattr(model, 'fill') else (64, 96)
    data = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=(32, 48)))
    thing = model.train_vocabulary.is_thing.index(True)
    masks = torch.zeros(1, *size, dtype=torch.bool)
    masks[:, 8:40, 8:60] = True
    data.gt_instances = InstanceData(labels=torch.tensor([thing]), masks=masks)
    data.gt_sem_seg = PixelData(sem_seg=torch.full((1, *size), 255))
    image = torch.randint(0, 256, (3, *size)).byte()
    return dict(inputs=[image], data_samples=[data])


def test_model_trains_and_predicts(model_leaf):
    config = made_small(load_config(model_leaf).model)
    if 'architecture' in config.get('proposals', {}):
        pytest.importorskip('transformers', reason='its networks propose the masks')
    model = MODELS.build(config)
    if not needs_ops(model_leaf):  # recorded where mmcv has no ops
        state_names.check(model, model_leaf.stem)
    batch = make_batch(model)
    if not getattr(model, 'needs_no_training', False):
        losses = model.train()(**model.data_preprocessor(batch), mode='loss')
        total = sum(loss for name, loss in losses.items() if 'loss' in name)
        assert total.isfinite()
        if any(parameter.requires_grad for parameter in model.parameters()):
            total.backward()
    result = model.eval().test_step(batch)[0]
    if 'pred_label' in result:  # of a crop
        assert result.pred_label.label.item() < len(model.vocabulary)
        return
    field = 'pred_panoptic_seg' if model.fusion.panoptic else 'pred_sem_seg'
    field = result.get(field)
    assert field.sem_seg.shape == (1, 32, 48)
    assert tuple(field.metainfo['label_names']) == model.vocabulary.names
