"""Two photos with known masks: holes, parts, thin lines, masks that overlap."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mmovseg.labels.photo_labels import PhotoLabels
from mmovseg.vocabulary import Vocabulary

VOCABULARY = Vocabulary((('car',), ('sky',), ('person',)), (True, False, True))


class Found(dict):
    """A segment as the inferencer gives it."""

    __getattr__ = dict.__getitem__


def make_photo(masks, labels, name, source):
    """Build the labels of a photo from masks, best first, as a model would."""
    height, width = masks[0].shape
    numbers = np.zeros((height, width), np.int32)
    for number, mask in reversed(list(enumerate(masks, 1))):
        numbers[mask] = number
    segments = []
    for number, label in enumerate(labels, 1):
        rows, columns = np.nonzero(numbers == number)
        y, x = int(rows.min()), int(columns.min())
        segments.append(
            Found(
                id=number,
                label=label,
                name=VOCABULARY.names[label],
                isthing=VOCABULARY.is_thing[label],
                score=1 - number / 8,
                area=len(rows),
                box=[x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y],
                mask=None,
            )
        )
    result = SimpleNamespace(label_map=numbers, segments=segments)
    return PhotoLabels.from_result(result, name, source)


def draw_masks(shape, count, seed):
    """Draw blobs with holes, in parts, some of single pixels."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    masks = []
    for _ in range(count):
        y, x = random.integers(0, shape[0]), random.integers(0, shape[1])
        far = np.hypot(rows - y, columns - x)
        mask = (far < 14) & (random.random(shape) < 0.9)
        mask[random.integers(0, shape[0]), random.integers(0, shape[1])] = True
        masks.append(mask)
    return masks


@pytest.fixture(scope='session')
def vocabulary():
    return VOCABULARY


@pytest.fixture
def photos(tmp_path):
    made = []
    for seed, (name, shape) in enumerate(
        [('a.png', (40, 53)), ('sub/b.jpg', (31, 20))]
    ):
        path = tmp_path / 'photos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*shape, 3), 90 + seed, np.uint8)).save(path)
        masks = draw_masks(shape, 4, seed)
        made.append(make_photo(masks, [0, 2, 1, 0], name, path))
    return made
