"""The figures of a checkpoint, here of an untrained one, and how they are kept."""

import importlib
import json

import pytest
import torch

from mmovseg.apis import init_model


@pytest.fixture(scope='module')
def tool():
    return importlib.import_module('projects.shapeworld.evaluate_checkpoint')


@pytest.mark.slow
def test_figures_are_written_and_can_be_repeated(tool, tmp_path, monkeypatch):
    monkeypatch.setenv('MMOVSEG_DATA', 'elsewhere')
    torch.manual_seed(0)
    path = tmp_path / 'a.pth'
    torch.save(init_model(tool.CONFIG).state_dict(), path)
    tool.main([str(path), '--num-images', '3', '--size', '64', '--seed', '5'])
    assert not (tmp_path / 'metrics.json').exists()
    options = [str(path), '--num-images', '3', '--size', '64', '--write']
    tool.main(options)
    content = json.loads((tmp_path / 'metrics.json').read_text())
    assert content['command'].endswith(f'evaluate_checkpoint {" ".join(options)}')
    assert content['data'] == dict(num_images=3, size=64, seed=1)
    names = {'panoptic/PQ_unseen', 'semantic/mIoU_seen', 'instance/segm_mAP_unseen'}
    assert names <= set(content['metrics'])
    assert tool.evaluate(str(path), content['data']) == content['metrics']


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['nowhere.pth'], r'error: .*nowhere\.pth does not exist'),
        (['nowhere.pth', '--size', '8'], 'error: 40 pictures of 8 pixels'),
    ],
)
def test_mistakes_are_explained(tool, arguments, words):
    with pytest.raises(SystemExit, match=words):
        tool.main(arguments)


def test_there_must_be_a_picture(tool, capsys):
    with pytest.raises(SystemExit):
        tool.main(['--num-images', '0'])
    assert '--num-images must be at least 1, got 0.' in capsys.readouterr().err
