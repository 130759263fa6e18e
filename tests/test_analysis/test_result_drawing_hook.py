"""Pictures of an evaluation: equal names and files of others."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, PixelData
from PIL import Image

from mmovseg.analysis.result_drawing_hook import ResultDrawingHook
from mmovseg.apis import OutputError
from mmovseg.vocabulary import Vocabulary


def draw(hook, *paths):
    """Let the hook draw a batch."""
    vocabulary = Vocabulary.from_names(['cat', 'grass'])
    runner = SimpleNamespace(model=SimpleNamespace(vocabulary=vocabulary))
    labels = torch.zeros(1, 4, 6, dtype=torch.long)
    samples = [
        BaseDataElement(
            metainfo=dict(img_path=str(path)), pred_sem_seg=PixelData(sem_seg=labels)
        )
        for path in paths
    ]
    hook.after_test_iter(runner, 0, outputs=samples)


@pytest.fixture
def photos(tmp_path):
    paths = [tmp_path / folder / 'x.png' for folder in 'ab']
    for path in paths:
        path.parent.mkdir()
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(path)
    return paths


def test_equal_names_keep_their_pictures(photos, tmp_path):
    out = tmp_path / 'out'
    for _ in range(2):  # a second run replaces its own pictures
        draw(ResultDrawingHook(out), *photos)
        assert sorted(x.name for x in out.iterdir()) == ['x.png', 'x_2.png']


def test_pictures_never_replace_photos(photos):
    before = photos[0].read_bytes()
    with pytest.raises(OutputError, match='the photos are in it'):
        draw(ResultDrawingHook(photos[0].parent), photos[0])
    draw(ResultDrawingHook(photos[0].parent), photos[1])
    assert photos[0].read_bytes() == before
