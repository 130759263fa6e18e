"""Training pictures of ShapeWorld that are drawn when they are needed."""

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from mmovseg.apis import load_config
from mmovseg.models.targets import collect_targets
from mmovseg.registry import DATASETS
from mmovseg.shapeworld.drawing import CLASSES, SEEN, STUFF, UNSEEN, draw_numbered
from mmovseg.vocabulary import Vocabulary
from projects.shapeworld import DrawnDataset

SEEN_CLASSES = Vocabulary.load('shapeworld_seen')


@pytest.fixture
def dataset():
    return DATASETS.build(
        dict(type='DrawnDataset', stages=[(30, [64, 48], 64), (2, [64], 96)], seed=11)
    )


def test_targets_are_the_segments_of_the_drawing(dataset):
    indices = range(0, 16, 2)  # drawn with 64 pixels, as they are shown
    batch = pseudo_collate([dataset[index] for index in indices])
    targets = collect_targets(batch['data_samples'], SEEN_CLASSES, (64, 64))
    for index, target in enumerate(targets):
        sample = draw_numbered(11, 'train', indices[index], 64)
        assert np.array_equal(
            batch['inputs'][index].numpy()[::-1], sample.image.transpose(2, 0, 1)
        )
        drawn = sorted(
            (CLASSES[label], (sample.segments == number).tobytes())
            for number, label in enumerate(sample.labels)
        )
        found = sorted(
            (SEEN_CLASSES.names[label], mask.numpy().tobytes())
            for label, mask in zip(target.labels.tolist(), target.masks, strict=True)
        )
        assert found == drawn


def test_a_smaller_vocabulary_leaves_classes_out():
    words = ['stuff: sand', 'thing: red heart', 'stuff: grass']
    dataset = DrawnDataset([(20, [32], 32)], seed=11, vocabulary=words)
    found = {dataset.classes[x] for y in range(20) for x in labels_of(dataset[y])}
    assert found == {'sand', 'red heart', 'grass'}
    dataset = DrawnDataset([(20, [32], 32)], seed=11, vocabulary=[*words, 'wood'])
    with pytest.raises(ValueError, match=r"'train' does not show \['wood'\]"):
        dataset[0]


def labels_of(sample):
    data = sample['data_samples']
    stuff = set(data.gt_sem_seg.sem_seg.unique().tolist()) - {255}
    return {*stuff, *data.gt_instances.labels.tolist()}


def test_stages_follow_each_other(dataset):
    assert len(dataset) == 32
    assert [tuple(dataset[i]['inputs'].shape) for i in (29, 30)] == [
        (3, 64, 64),
        (3, 96, 96),
    ]
    other = draw_numbered(11, 'train', 1, 48)  # every second one, enlarged
    labels = dataset[1]['data_samples'].gt_instances.labels
    things = [x for x in other.labels if CLASSES[x] not in STUFF]
    assert [SEEN_CLASSES.names[x] for x in labels] == [CLASSES[x] for x in things]
    assert dataset[1]['inputs'].shape == (3, 64, 64)
    later = dataset[31]['data_samples']
    assert later.img_shape == later.gt_sem_seg.sem_seg.shape[-2:] == (96, 96)
    assert later.gt_instances.masks.shape[1:] == (96, 96)
    with pytest.raises(IndexError):
        dataset[32]


def test_no_unseen_class_is_in_it(dataset):
    assert set(SEEN_CLASSES.names) == set(SEEN) and not set(SEEN) & set(UNSEEN)
    assert set(dataset.classes) == set(SEEN)
    shown = {label for index in range(30) for label in labels_of(dataset[index])}
    assert min(shown) >= 0 and max(shown) < len(SEEN)


@pytest.mark.parametrize(
    'name', ['eovseg_tiny_hold_out', 'fcclip_tiny', 'fcclip_tiny_end']
)
def test_the_recipe_draws_other_pictures_than_all_evaluations(name):
    config = load_config(f'projects/shapeworld/recipes/{name}.py')
    assert config.train_dataloader.dataset.seed not in (0, 1, 7)
    assert config.train_dataloader.sampler.shuffle is False  # small ones first
    stages = config.train_dataloader.dataset.stages
    size = config.train_dataloader.batch_size
    assert sum(count for count, *_ in stages) == size * config.train_cfg.max_iters
    assert all(count % size == 0 for count, *_ in stages)
    assert isinstance(DATASETS.build(config.train_dataloader.dataset), DrawnDataset)


def test_a_step_of_the_recipe_changes_weights(dataset, seed):
    from mmovseg.registry import MODELS

    config = load_config('configs/fcclip/fcclip_tiny_shapeworld.py')
    model = MODELS.build(config.model).train()
    batch = pseudo_collate([dataset[index] for index in (0, 1)])
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    assert {f's{i}_loss_{x}' for i in range(7) for x in ('ce', 'mask', 'dice')} == {
        *losses
    }
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            assert not name.startswith('backbone.')
    assert torch.isfinite(sum(losses.values()))
