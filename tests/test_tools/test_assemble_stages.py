"""Models put together from stages: whole, or refused."""

import sys

import pytest
import torch
from golden_utils import ROOT, load_module

from mmovseg.apis import load_config
from mmovseg.registry import MODELS

CONFIG = 'simbaseline_tiny_shapeworld-zs'


@pytest.fixture
def run(monkeypatch):
    tool = load_module(ROOT / 'tools/model_converters/assemble_stages.py')

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['assemble_stages', *map(str, arguments)])
        tool.main()

    run.tool = tool
    return run


@pytest.fixture
def stages(tmp_path, seed):
    """Return files of the first two stages, the second started from the first."""
    prompt = MODELS.build(load_config('prompt_tiny_shapeworld-zs').model).state_dict()
    model = MODELS.build(load_config('proposals_tiny_shapeworld-zs').model)
    model.load_state_dict(prompt, strict=False)
    files = tmp_path / 'prompt.pth', tmp_path / 'proposals.pth'
    for path, state in zip(files, (prompt, model.state_dict()), strict=True):
        torch.save(dict(state_dict=state), path)
    return files


def test_a_whole_model_is_written(run, stages, tmp_path):
    run(CONFIG, tmp_path / 'out.pth', *stages)
    found = torch.load(tmp_path / 'out.pth', weights_only=True)['state_dict']
    model = MODELS.build(load_config(CONFIG).model)
    model.load_state_dict(found)
    for path in stages:
        for name, value in torch.load(path, weights_only=True)['state_dict'].items():
            if name in found:
                assert torch.equal(found[name], value)


def test_a_missing_stage_is_refused(run, stages, tmp_path, capsys):
    with pytest.raises(SystemExit, match=r'(?s)no file holds.*proposals\.'):
        run(CONFIG, tmp_path / 'out.pth', stages[0])
    assert not (tmp_path / 'out.pth').exists()
    run(CONFIG, tmp_path / 'o.pth', stages[0], '--allow-missing', 'proposals.', 'text')
    assert (tmp_path / 'o.pth').exists()


def test_towers_with_pretrained_weights_need_no_file(run):
    config = load_config('simbaseline_vit-b16_cocostuff-156').model
    parts = run.tool.pretrained_parts(config)
    assert {'backbone.visual.', 'text_classifier.clip.'} <= set(parts)
    config = load_config(CONFIG).model
    assert run.tool.pretrained_parts(config)  # packaged ones count too
    config.backbone.pretrained = config.text_classifier.pretrained = None
    assert not run.tool.pretrained_parts(config)
