"""The oracle's table, and how good the best masks are, on two drawings."""

import json
import sys

import numpy as np
import pytest
import torch

import mmovseg
from mmovseg.analysis.oracle import ORACLES
from mmovseg.datasets.shapeworld_files import write_split
from mmovseg.shapeworld.drawing import draw_numbered
from tools.analysis_tools import oracle

COUNT, SIZE, SEED = 2, 96, 3


@pytest.fixture
def drawings(tmp_path, monkeypatch):
    write_split(tmp_path / 'shapeworld', 'val', COUNT, size=SIZE, seed=SEED)
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))


def count_best_ious():
    """The slow way: every proposal of the model with every segment."""
    model = mmovseg.load('eovseg_tiny_shapeworld', show_progress=False).model
    model.fusion.proposals = True
    best = []
    for number in range(COUNT):
        sample = draw_numbered(SEED, 'val', number, SIZE)
        bgr = torch.from_numpy(sample.image[..., ::-1].transpose(2, 0, 1).copy())
        bgr = torch.nn.functional.interpolate(bgr[None].float(), (192, 192))[0].byte()
        done = model.test_step(dict(inputs=[bgr], data_samples=None))
        masks = done[0].pred_proposals.masks.numpy()
        segments = np.kron(sample.segments, np.ones((2, 2), int))
        for index in range(len(sample.labels)):
            truth = segments == index
            ious = [(x & truth).sum() / (x | truth).sum() for x in masks]
            best.append(100 * max(ious))
    return np.array(best)


def test_the_table_and_the_best_masks(drawings, monkeypatch, tmp_path, capsys):
    out = tmp_path / 'found.json'
    words = ['oracle.py', 'eovseg_tiny_shapeworld', 'shapeworld', '--device', 'cpu']
    monkeypatch.setattr(sys, 'argv', [*words, '--out', str(out)])
    oracle.main()
    printed = capsys.readouterr()
    assert 'quality per class' not in printed.out + printed.err
    lines = printed.out.splitlines()
    assert [x for x in ORACLES if any(f'| {x} | ' in line for line in lines)] == [
        *ORACLES
    ]
    found = json.loads(out.read_text())['oracles']['as it is']
    expected = count_best_ious()
    # The picture is resized in another way.
    assert found['masks/IoU'] == pytest.approx(expected.mean(), abs=3)
    assert any(f'IoU {found["masks/IoU"]:.1f} in the mean' in line for line in lines)
    assert 0 <= found['masks/above_75'] <= found['masks/above_50'] <= 100


def test_a_wrong_metric_loses_no_result(monkeypatch, tmp_path, capsys):
    out = tmp_path / 'found.json'
    found = {'as it is': {'panoptic/PQ': 5.0}}
    monkeypatch.setattr(oracle, 'evaluate', lambda args: found)
    words = ['oracle.py', 'a', 'b', '--device', 'cpu', '--metrics', 'PQ']
    monkeypatch.setattr(sys, 'argv', [*words, '--out', str(out)])
    with pytest.raises(SystemExit, match=r'no PQ\..* There are panoptic/PQ'):
        oracle.main()
    assert json.loads(out.read_text())['oracles'] == found
    assert '| as it is | 5.0 |' in capsys.readouterr().out
