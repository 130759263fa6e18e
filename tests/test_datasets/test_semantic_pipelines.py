"""The recipe of COCO-Stuff on drawn pictures: what is hidden, skipped and repeated."""

from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmovseg.registry import DATASETS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / '_base_' / 'datasets'
PERSON, COW, UNUSED, SKY, NOTHING = 0, 20, 11, 156, 255  # values in the files
PERSON_156, COW_171, SKY_156, SKY_171 = 0, 19, 132, 145


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Two pictures with seen classes, and four with cows only."""
    init_default_scope('mmovseg')
    rng = np.random.RandomState(0)
    for number, values in enumerate(
        [[PERSON, COW, SKY, UNUSED, NOTHING], [SKY] * 5, *[[COW, NOTHING] * 2] * 4]
    ):
        values = np.array(values, np.uint8).repeat(20)[None].repeat(60, 0)
        image = rng.randint(0, 256, (*values.shape, 3), dtype=np.uint8)
        for split in ('train2017', 'val2017'):
            root = tmp_path / 'coco'
            mmcv.imwrite(image, str(root / split / f'{number}.jpg'))
            mmcv.imwrite(values, str(root / 'stuffthingmaps' / split / f'{number}.png'))
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))
    return Config.fromfile(CONFIGS / 'coco_stuff_156.py')


def train_batch(config, state):
    np.random.seed(state)  # noqa: NPY002 (what mmcv's transforms draw from)
    loader = {**config.train_dataloader, 'num_workers': 0, 'persistent_workers': False}
    batch = next(iter(Runner.build_dataloader(loader, seed=7)))
    labels = [sample.gt_sem_seg.data for sample in batch['data_samples']]
    return torch.stack(batch['inputs']), torch.stack(labels)


def test_training_hides_unseen_classes_and_skips_images_of_them(config):
    # As far as the labels are whole, and packed.
    steps = config.train_dataloader.dataset.pipeline
    config.train_dataloader.dataset.pipeline = [*steps[:4], steps[-1]]
    dataset = DATASETS.build(config.train_dataloader.dataset)
    maps = [item['data_samples'].gt_sem_seg.data[0, 0, ::20] for item in dataset]
    found = [tuple(labels.tolist()) for labels in maps]
    mixed = (PERSON_156, 255, SKY_156, 255, 255)
    assert found[:2] == [mixed, (SKY_156,) * 5]
    assert len(found) == 6
    assert set(found[2:]) <= set(found[:2])  # others in place of the cows


def test_training_repeats_whatever_was_drawn_before(config):
    config.train_dataloader.dataset.pipeline[-2]['size'] = (512, 512)
    first, second = train_batch(config, 1), train_batch(config, 2)
    assert first[0].shape == (4, 3, 512, 512)
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)
    assert len({image.float().mean().item() for image in first[0]}) > 1


def test_evaluation_sees_all_classes_at_the_size_of_the_photo(config):
    item = DATASETS.build(config.test_dataloader.dataset)[0]
    assert item['inputs'].shape == (3, 512, 853)
    labels = item['data_samples'].gt_sem_seg.data
    assert labels.shape == (1, 60, 100)
    assert labels[0, 0, ::20].tolist() == [PERSON_156, COW_171, SKY_171, 255, 255]
