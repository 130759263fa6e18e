"""examples/slam_adapter.py with a model whose masks are known."""

import runpy
from pathlib import Path

import numpy as np
from PIL import Image

from mmovseg.shapeworld.drawing import draw_numbered

EXAMPLE = Path(__file__).resolve().parents[2] / 'examples' / 'slam_adapter.py'


def test_frames_become_arrays_and_a_map(tmp_path, capsys):
    for index in range(2):
        image = Image.fromarray(draw_numbered(index, 'val', 0).image)
        image.save(tmp_path / f'{index}.png')
    frames = [str(tmp_path / f'{index}.png') for index in range(2)]
    words = [*frames, '--classes', 'red star, stuff: grass, stuff: sand']
    main = runpy.run_path(str(EXAMPLE))['main']
    main([*words, '--out', str(tmp_path / 'out')])
    assert '1.png: pixels per class so far' in capsys.readouterr().out
    arrays = np.load(tmp_path / 'out' / '1.npz')
    height, width = draw_numbered(1, 'val', 0).image.shape[:2]
    assert arrays['classes'].shape == (height, width)
    assert arrays['top_labels'].shape == (3, height, width)
    assert arrays['colors'].shape == (3, 3)


def test_evidence_is_added_up():
    fuse = runpy.run_path(str(EXAMPLE))['fuse']
    frame = dict(
        top_labels=np.array([[[2]], [[0]]]),
        top_probabilities=np.array([[[0.75]], [[0.25]]], np.float32),
    )
    once = fuse(np.zeros((3, 1, 1), np.float32), frame)
    np.testing.assert_allclose(once.ravel(), np.log([0.25, 1e-3, 0.75]), rtol=1e-6)
    np.testing.assert_allclose(fuse(once, frame), 2 * once)
