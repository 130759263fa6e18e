"""The files of Cityscapes: ``NAME_gtFine_labelIds.png``, ``_instanceIds``, ``_color``.

Names must be those of Cityscapes (``car``, ``traffic light``). Things are numbered
``id * 1000 + n``; 0 (unlabeled) is where there is no segment.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..fileio import did_you_mean
from ..vocabulary import Vocabulary
from .images import write_png
from .photo_labels import PhotoLabels, Photos

# Id, whether it has instances, color. Source: cityscapesScripts, helpers/labels.py.
IDS: dict[str, tuple[int, bool, tuple[int, int, int]]] = {
    'unlabeled': (0, False, (0, 0, 0)),
    'ego vehicle': (1, False, (0, 0, 0)),
    'rectification border': (2, False, (0, 0, 0)),
    'out of roi': (3, False, (0, 0, 0)),
    'static': (4, False, (0, 0, 0)),
    'dynamic': (5, False, (111, 74, 0)),
    'ground': (6, False, (81, 0, 81)),
    'road': (7, False, (128, 64, 128)),
    'sidewalk': (8, False, (244, 35, 232)),
    'parking': (9, False, (250, 170, 160)),
    'rail track': (10, False, (230, 150, 140)),
    'building': (11, False, (70, 70, 70)),
    'wall': (12, False, (102, 102, 156)),
    'fence': (13, False, (190, 153, 153)),
    'guard rail': (14, False, (180, 165, 180)),
    'bridge': (15, False, (150, 100, 100)),
    'tunnel': (16, False, (150, 120, 90)),
    'pole': (17, False, (153, 153, 153)),
    'polegroup': (18, False, (153, 153, 153)),
    'traffic light': (19, False, (250, 170, 30)),
    'traffic sign': (20, False, (220, 220, 0)),
    'vegetation': (21, False, (107, 142, 35)),
    'terrain': (22, False, (152, 251, 152)),
    'sky': (23, False, (70, 130, 180)),
    'person': (24, True, (220, 20, 60)),
    'rider': (25, True, (255, 0, 0)),
    'car': (26, True, (0, 0, 142)),
    'truck': (27, True, (0, 0, 70)),
    'bus': (28, True, (0, 60, 100)),
    'caravan': (29, True, (0, 0, 90)),
    'trailer': (30, True, (0, 0, 110)),
    'train': (31, True, (0, 80, 100)),
    'motorcycle': (32, True, (0, 0, 230)),
    'bicycle': (33, True, (119, 11, 32)),
}
MAX_INSTANCES = 1000  # of a class in a photo


def check(vocabulary: Vocabulary) -> None:
    """Check that Cityscapes has all classes."""
    for name in vocabulary.names:
        if name not in IDS:
            raise ValueError(
                f'cityscapes has no class {name!r}.{did_you_mean(name, IDS)} It has: '
                f'{", ".join(IDS)}. --other names classes to leave out.'
            )


def write(photos: Photos, vocabulary: Vocabulary, folder: Path, made_by: str) -> None:
    """Write the labels of all photos; see :func:`mmovseg.labels.write_labels`."""
    for photo in photos:
        ids = [IDS[x['name']][0] for x in photo.segments]
        start = folder / f'{photo.stem}_gtFine'
        labels = photo.paint(ids)
        _save(start, 'labelIds', labels.astype(np.uint8))
        instances = photo.paint(_number_instances(photo))
        _save(start, 'instanceIds', instances.astype(np.uint16))
        colors = np.zeros((256, 3), np.uint8)
        for number, _, color in IDS.values():
            colors[number] = color
        _save(start, 'color', colors[labels])


def _save(start: Path, ending: str, values: np.ndarray) -> None:
    write_png(start.with_name(f'{start.name}_{ending}.png'), values)


def _number_instances(photo: PhotoLabels) -> list[int]:
    counts: dict[int, int] = {}
    numbers = []
    for segment in photo.segments:
        number, has_instances, _ = IDS[segment['name']]
        if not has_instances:
            numbers.append(number)
            continue
        count = counts.get(number, 0)
        if count == MAX_INSTANCES:
            raise ValueError(
                f'cityscapes has numbers for {MAX_INSTANCES} objects of a class, and '
                f'{photo.file_name} has more of {segment["name"]!r}: raise its '
                'threshold.'
            )
        counts[number] = count + 1
        numbers.append(number * 1000 + count)
    return numbers
