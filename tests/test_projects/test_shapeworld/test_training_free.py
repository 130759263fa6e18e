"""A closed-vocabulary network trains by its own loss, and is composed with a CLIP."""

import importlib
import json

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from small_networks import MASK2FORMER, SWIN

from mmovseg.datasets.shapeworld_files import write_split
from mmovseg.models import TransformersProposals
from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

pytest.importorskip('transformers')
NAMES = ['thing: dog', 'thing: cat', 'stuff: grass']


@pytest.fixture(scope='module')
def tool():
    return importlib.import_module('projects.shapeworld.evaluate_training_free')


@pytest.fixture
def model(seed):
    importlib.import_module('projects.shapeworld.closed_vocabulary_network')
    return MODELS.build(
        dict(
            type='ClosedVocabularyNetwork',
            architecture=dict(MASK2FORMER, train_num_points=64),
            backbone_architecture=SWIN,
            train_vocabulary=NAMES,
        )
    )


def sample():
    """A cat in front of grass."""
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[0, 10:40, 20:60] = True
    masks[1] = ~masks[0]
    data = BaseDataElement(metainfo=dict(img_shape=(64, 64)))
    data.gt_instances = InstanceData(labels=torch.tensor([1]), masks=masks[:1])
    data.gt_sem_seg = PixelData(sem_seg=torch.where(masks[:1], 1, 2))
    return data, masks


def test_the_loss_is_that_of_transformers(model):
    data, masks = sample()
    images = torch.randn(1, 3, 64, 64)
    torch.manual_seed(1)
    found = model(images, [data], mode='loss')['loss']
    torch.manual_seed(1)
    expected = model.network(
        pixel_values=images,
        mask_labels=[masks.float()],
        class_labels=[torch.tensor([1, 2])],
    ).loss
    torch.testing.assert_close(found, expected.squeeze())
    found.backward()
    first = next(model.network.model.pixel_level_module.encoder.parameters())
    assert first.grad.any()  # nothing is frozen
    with pytest.raises(ValueError, match="trained only, got mode 'predict'"):
        model(images, mode='predict')


def test_what_is_saved_proposes_the_same_masks(model, tmp_path):
    model.save_network(tmp_path / 'network')
    proposals = TransformersProposals(str(tmp_path / 'network'))
    assert proposals.class_names.names == Vocabulary.load(NAMES).names
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model.eval().network(pixel_values=images)
        [found] = proposals(images)
    torch.testing.assert_close(found.mask_logits, expected.masks_queries_logits)


def test_rows_are_measured_once(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))
    write_split(tmp_path / 'shapeworld', 'val', 2, size=64)
    rows = ['most probable known class', 'CLIP ViT, not severed']
    monkeypatch.setattr(tool, 'ROWS', {row: tool.ROWS[row] for row in rows})
    torch.manual_seed(0)
    network = MODELS.build(tool.load_config(tool.CONFIGS / 'mask2former_tiny.py').model)
    path = tmp_path / 'iter_1.pth'
    torch.save(dict(state_dict=network.state_dict(), optimizer={}), path)
    tool.main([str(path)])
    content = json.loads((tmp_path / 'training_free.json').read_text())
    assert list(content['rows']) == rows
    assert {'panoptic/PQ_seen', 'semantic/hIoU'} <= set(
        content['rows'][rows[0]]['names']
    )
    assert rows[1] in capsys.readouterr().out
    monkeypatch.setattr(tool, 'evaluate_row', None)  # would fail if it were called
    tool.main([str(path)])
    # Severance is switched off in the row that says so.
    config = tool.make_config(rows[1], tmp_path / 'network')
    assert config.model.backbone.severance == [] and config.model.ensemble is None
    config = tool.make_config(rows[0], tmp_path / 'network')
    assert config.model.num_known == 1 and config.model.ensemble.beta == 0


def test_mistakes_are_explained(tool, tmp_path, capsys):
    with pytest.raises(SystemExit, match=r'error: .*nothing\.pth'):
        tool.main([str(tmp_path / 'nothing.pth')])
    with pytest.raises(SystemExit):
        tool.main(['a.pth', '--num-images', '0'])
    assert '--num-images must be at least 1, got 0' in capsys.readouterr().err
