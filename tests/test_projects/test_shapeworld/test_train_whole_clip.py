"""A tiny CLIP that learns from whole pictures and captions alone."""

import importlib
import inspect
import json
import re
import sys

import numpy as np
import pytest
import torch

from mmovseg.models.clip import create_clip
from mmovseg.shapeworld.drawing import CLASSES, STUFF
from mmovseg.vocabulary import Vocabulary
from projects.shapeworld import evaluate_patches
from projects.shapeworld.train_clip import Towers

SHAPEWORLD = Vocabulary.load('shapeworld')


@pytest.fixture(scope='module')
def tool():
    return importlib.import_module('projects.shapeworld.train_whole_clip')


@pytest.fixture(scope='module')
def words(tool):
    import open_clip

    create_clip('tiny-vit-whole')  # makes its name known
    return tool.Words(SHAPEWORLD, open_clip.get_tokenizer('tiny-vit-whole'))


def test_captions_name_what_they_are_told_and_nothing_else(tool):
    labels = [CLASSES.index(x) for x in ('sand', 'red circle', 'blue cross')]
    texts = {
        tool.describe(np.random.RandomState(seed), labels, SHAPEWORLD.synonyms)
        for seed in range(60)
    }
    assert len(texts) > 20  # order and synonyms vary
    for text in texts:
        for label in labels:
            assert any(name in text for name in SHAPEWORLD.synonyms[label]), text
        assert not any(
            re.search(rf'\b{name}\b', text)
            for label in range(len(CLASSES))
            if label not in labels
            for name in SHAPEWORLD.synonyms[label]
        )
        assert re.search(r' on (sand|beach)\b', text)  # the ground comes last
    parts = [tool.shorten(np.random.RandomState(seed), labels) for seed in range(60)]
    assert {len(part) for part in parts} == {1, 2, 3}
    assert all(set(part) <= set(labels) for part in parts)


def test_captions_match_every_picture_that_shows_all_of_it(tool):
    present = tool.mark([[0, 1, 2], [1, 2], [3]], 5)
    wanted = tool.mark([[1, 2], [0], [3, 4]], 5)
    assert tool.find_matches(wanted, present).tolist() == [
        [True, True, False],
        [True, False, False],
        [False, False, False],
    ]


def test_short_captions_match_by_name_paint_and_shape(tool, words):
    labels = [[CLASSES.index('sand'), CLASSES.index('red circle')], [0]]
    tokens, matches = words.draw(np.random.RandomState(0), labels)
    assert len(tokens) == matches.shape[1] == 2 + 58 + 8 + 6
    names, paints, shapes = matches[0, 2:].split([58, 8, 6])
    assert [CLASSES[i] for i in names.nonzero().flatten()] == ['sand', 'red circle']
    assert [words.short.paints[i] for i in paints.nonzero().flatten()] == ['red']
    assert [words.short.shapes[i] for i in shapes.nonzero().flatten()] == ['circle']
    assert matches[1].sum() == matches[1, :60].sum() and not matches[1, 60:].any()
    assert matches[0, 0] and matches[1, 1]


def test_the_loss_compares_each_match_with_what_is_none(tool):
    logits = torch.randn(3, 4)
    matches = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=torch.bool)
    rows = []
    for row in (0, 1):
        others = logits[row][~matches[row]].exp().sum()
        found = [
            -(x.exp() / (x.exp() + others)).log() for x in logits[row][matches[row]]
        ]
        rows.append(sum(found) / len(found))
    torch.testing.assert_close(tool.match_loss(logits, matches), sum(rows) / 2)
    everything = torch.ones(3, 4, dtype=torch.bool)
    assert tool.match_loss(logits, everything) == 0


def test_stages_follow_the_share_that_is_done(tool, capsys):
    stages = tool.read_stages('64:1:1.75=0.5,96:3:1.3=0.3,128:6:1=0.2')
    shares = (0, 0.49, 0.51, 0.79, 0.81, 1.0)
    found = [tool.pick_stage(stages, x) for x in shares]
    assert [stage.side for stage in found] == [64, 64, 96, 96, 128, 128]
    assert found[2] == (96, 3, 1.3, 0.3)
    for wrong, message in (
        ('64:1:1=0.5', 'shares sum up to 1'),
        ('60:1:1=1', 'multiple of 8'),
        ('64:0:1=1', 'with 1 thing'),
        ('64:1:2=1', 'a zoom is from 1 to 1.75'),
        ('64:1:0.1=1', 'a zoom is from 1 to 1.75'),
        ('a', 'SIDE:THINGS:ZOOM=SHARE'),
        ('64:1:1..=1', 'SIDE:THINGS:ZOOM=SHARE'),
    ):
        with pytest.raises(SystemExit):
            tool.parse_args(['--stages', wrong])
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.parse_args(['--steps', '0'])
    assert '--steps must be at least 1, got 0' in capsys.readouterr().err


def test_it_sees_no_boxes_and_no_crops(tool):
    source = inspect.getsource(tool)
    for word in ('encode_boxes', 'CropSource', 'segments', 'draw_whole', 'regions['):
        assert word not in source


def test_the_packaged_clip_names_pictures_but_not_patches(tool, words, monkeypatch):
    monkeypatch.setattr(tool, 'HELD_OUT', 60)
    towers = Towers(create_clip('tiny-vit-whole', 'shapeworld'))
    found = tool.measure(towers, words, 96)
    assert found['captions'] > 0.9 and found['stuff'] > 0.9 and found['things'] > 0.35
    patches = evaluate_patches.main(
        ['tiny-vit-whole', '--weights', 'shapeworld', '--num-pictures', '12']
    )
    whole, severed = patches['severed_0'], patches['severed_1']
    assert whole['stuff'] < 60 and whole['things'] < 3
    assert severed['stuff'] > whole['stuff'] + 5
    assert severed['things'] > whole['things'] + 2


@pytest.mark.slow
def test_a_stopped_training_goes_on_as_if_it_were_not(tool, monkeypatch, tmp_path):
    monkeypatch.setattr(tool, 'HELD_OUT', 20)

    def train(folder, stop_at=None):
        arguments = ['--work-dir', str(folder), '--steps', '4', '--batch-size', '4']
        arguments += ['--log-every', '2', '--stages', '32:1:1.75=0.5,40:6:1=0.5']
        arguments += ['--text-steps', '2']
        monkeypatch.setattr(sys, 'argv', ['train_whole_clip.py', *arguments])

        def counted(*args):
            if args[-1] == stop_at:
                raise KeyboardInterrupt
            return step(*args)

        with monkeypatch.context() as patch:
            step = tool.train_step
            patch.setattr(tool, 'train_step', counted)
            tool.train(tool.parse_args(arguments))
        return (folder / 'tiny-vit-whole.safetensors').read_bytes()

    whole = train(tmp_path / 'whole')
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / 'parts', stop_at=3)
    assert train(tmp_path / 'parts') == whole
    log = [json.loads(x) for x in (tmp_path / 'parts/tiny-vit-whole.jsonl').open()]
    assert [entry.get('step') for entry in log] == [None, 2, None, 4]
    assert log[2]['first_step'] == 2
    assert {'captions', 'stuff', 'things', 'loss', 'side'} <= set(log[1])
    assert [entry['side'] for entry in log[1::2]] == [32, 40]
    clip = create_clip(
        'tiny-vit-whole', str(tmp_path / 'parts/tiny-vit-whole.safetensors')
    )
    assert clip.visual.pool_type == 'tok' and len(STUFF) == 10
