"""The import file of CVAT: ``annotations.xml`` in the form "CVAT for images 1.1".

Every segment is a ``mask``: run lengths row by row inside its box, background first.
Import it into a task that has the photos under the same names. Names of the task's
labels must be those of the classes; ``labels.json`` is for the field "Raw" of the
project.
"""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ..fileio import atomic_path, write_atomic
from ..vocabulary import Vocabulary
from .photo_labels import PhotoLabels, Photos


def write(photos: Photos, vocabulary: Vocabulary, folder: Path, made_by: str) -> None:
    """Write the labels of all photos; see :func:`mmovseg.labels.write_labels`."""
    path = folder / 'annotations.xml'
    with atomic_path(path) as draft, open(draft, 'w', encoding='utf-8') as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
        file.write('<version>1.1</version>\n')
        for number, photo in enumerate(photos):
            file.write(_describe(number, photo))
        file.write('</annotations>\n')
    labels = [dict(name=name, attributes=[]) for name in vocabulary.names]
    write_atomic(
        folder / 'labels.json', json.dumps(labels, ensure_ascii=False, indent=1) + '\n'
    )


def _describe(number: int, photo: PhotoLabels) -> str:
    """Return the XML of a photo."""
    image = ElementTree.Element(
        'image',
        id=str(number),
        name=photo.file_name,
        width=str(photo.width),
        height=str(photo.height),
    )
    # Later masks are over earlier ones, and the first segment is on top.
    pairs = reversed(list(zip(photo.segments, photo.masks(), strict=True)))
    for order, (segment, mask) in enumerate(pairs):
        x, y, width, height = segment['box']
        runs = count_runs(mask[y : y + height, x : x + width])
        ElementTree.SubElement(
            image,
            'mask',
            label=segment['name'],
            source='auto',
            occluded='0',
            rle=', '.join(map(str, runs)),
            left=str(x),
            top=str(y),
            width=str(width),
            height=str(height),
            z_order=str(order),
        )
    ElementTree.indent(image)
    return ElementTree.tostring(image, encoding='unicode') + '\n'


def count_runs(mask: np.ndarray) -> list[int]:
    """Return the lengths of runs, row by row; the first run is background."""
    flat = np.concatenate([[0], mask.ravel() != 0, [0]]).astype(np.int8)
    changes = np.flatnonzero(np.diff(flat))
    if flat[-2]:
        changes = changes[:-1]  # the end of the mask is no change
    ends = np.concatenate([[0], changes, [mask.size]])
    return np.diff(ends).tolist()
