"""The segmentation format of Ultralytics' YOLO.

``data.yaml``, ``images/`` (links to the photos) and ``labels/NAME.txt``: per segment a
line ``class x y x y ...``, from 0 to 1. Points are the centers of the border pixels, so
that YOLO draws the very mask. A line holds one polygon: holes and parts of a segment
are joined by lines there and back. Those between parts are drawn, one pixel wide.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..fileio import write_atomic
from ..vocabulary import Vocabulary
from .images import link_photo
from .photo_labels import PhotoLabels, Photos
from .polygons import join_parts, trace_centers

MIN_POINTS = 3  # fewer are read as a box


def write(photos: Photos, vocabulary: Vocabulary, folder: Path, made_by: str) -> None:
    """Write the labels of all photos; see :func:`mmovseg.labels.write_labels`."""
    for photo in photos:
        # YOLO looks for it where the last folder "images" is called "labels".
        start, _, end = f'/images/{photo.stem}.txt'.rpartition('/images/')
        write_atomic(folder / f'{start}/labels/{end}'[1:], _describe(photo))
        if photo.source is not None:
            link_photo(photo.source, folder / 'images' / photo.file_name)
    # JSON strings are YAML too, whatever is in a name.
    names = [
        f'  {label}: {json.dumps(name, ensure_ascii=False)}'
        for label, name in enumerate(vocabulary.names)
    ]
    lines = [f'# {made_by}', 'path: .', 'train: images', 'val: images', 'names:']
    write_atomic(folder / 'data.yaml', '\n'.join([*lines, *names]) + '\n')


def _describe(photo: PhotoLabels) -> str:
    size = np.array([photo.width, photo.height])
    lines = []
    for segment, mask in zip(photo.segments, photo.masks(), strict=True):
        points = join_parts(trace_centers(mask))
        if len(points) < MIN_POINTS:
            points = np.concatenate([points] * MIN_POINTS)
        values = ((points + 0.5) / size).ravel().tolist()
        numbers = ' '.join(f'{value:.7f}' for value in values)
        lines.append(f'{segment["label"]} {numbers}\n')
    return ''.join(lines)
