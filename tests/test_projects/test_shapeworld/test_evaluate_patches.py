"""How well patches name what they lie on."""

import json

import numpy as np
import pytest
import torch

from mmovseg.models.structures import TextEmbeddings
from mmovseg.shapeworld.drawing import CLASSES, ShapeSample, draw_numbered
from projects.shapeworld import evaluate_patches as tool


def test_only_patches_of_one_segment_count():
    segments = np.zeros((32, 32), np.int32)
    segments[:, 16:] = 1
    segments[:8, 8:9] = 1  # an eighth of the second patch
    sample = ShapeSample(np.zeros((32, 32, 3), np.uint8), segments, [4, 20])
    found = tool.list_patches(sample, 32, 8)
    assert found.tolist() == [[4, -1, 20, 20], *[[4, 4, 20, 20]] * 3]


def test_patches_are_compared_with_their_own_class():
    pictures = [draw_numbered(5, 'clip_val', i, 64) for i in range(4)]
    rows = torch.eye(len(CLASSES) + 1)
    text = TextEmbeddings(rows, torch.arange(len(rows)), len(CLASSES))

    class Backbone:
        stride = 8
        shift = 0

        def __call__(self, images):
            sample = next(
                x for x in pictures if tool.normalize(x.image[None]).equal(images)
            )
            labels = tool.list_patches(sample, 64, 8) + self.shift
            return rows[labels].permute(2, 0, 1)[None]

    backbone = Backbone()
    found = tool.measure_patches(backbone, text, pictures, 64)
    assert found == dict(stuff=100.0, things=100.0)
    backbone.shift = -1
    assert tool.measure_patches(backbone, text, pictures, 64)['stuff'] == 0


def test_the_command_cuts_blocks(tmp_path, capsys):
    log = tmp_path / 'log.jsonl'
    words = ['tiny-vit', '--weights', 'shapeworld', '--num-pictures', '8']
    found = tool.main([*words, '--append', str(log)])
    assert list(found) == [f'severed_{i}' for i in range(4)]
    assert found['severed_0'] != found['severed_1']
    assert found['severed_0']['stuff'] > 70
    assert json.loads(log.read_text())['severed_1'] == found['severed_1']
    assert '2 blocks severed' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        tool.parse_args([*words, '--side', '100'])
    assert '--side in eights' in capsys.readouterr().err
