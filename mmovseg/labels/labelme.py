"""The JSON of labelme, one per photo, which it opens next to or instead of the photo.

Polygons go through the centers of the border pixels, so that labelme draws the very
mask. The parts of a segment share a ``group_id``. A hole is joined to its outline by a
line there and back. What is too thin for a polygon is a shape of the kind ``mask``.
"""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .. import tar_files
from ..fileio import write_atomic
from ..vocabulary import Vocabulary
from .photo_labels import PhotoLabels, Photos
from .polygons import trace_centers

VERSION = '5.5.0'  # of labelme, whose form of files this is


def write(photos: Photos, vocabulary: Vocabulary, folder: Path, made_by: str) -> None:
    """Write the labels of all photos; see :func:`mmovseg.labels.write_labels`."""
    for photo in photos:
        path = folder / f'{photo.stem}.json'
        content = dict(
            version=VERSION,
            flags={},
            shapes=list(_list_shapes(photo)),
            imagePath=_find_photo(photo, path),
            imageData=_embed_photo(photo),
            imageHeight=photo.height,
            imageWidth=photo.width,
        )
        write_atomic(path, json.dumps(content, ensure_ascii=False, indent=1) + '\n')


def _find_photo(photo: PhotoLabels, path: Path) -> str:
    """Return the photo's path as labelme wants it, from the folder of its JSON."""
    if photo.source is None:
        return photo.file_name
    return Path(os.path.relpath(photo.source, path.parent)).as_posix()


def _embed_photo(photo: PhotoLabels) -> str | None:
    """Return the content of a photo in a tar file, which labelme cannot open."""
    if photo.source is None or tar_files.split_path(photo.source) is None:
        return None
    return base64.b64encode(tar_files.read_bytes(photo.source)).decode()


def _list_shapes(photo: PhotoLabels) -> Iterator[dict[str, Any]]:
    # Later shapes are drawn over earlier ones, and the first segment is on top.
    pairs = list(zip(photo.segments, photo.masks(), strict=True))
    for number, (segment, mask) in reversed(list(enumerate(pairs, 1))):
        score = segment['score']
        shape = dict(
            label=segment['name'],
            group_id=number,
            description='' if score is None else f'{score:.3f}',
            flags={},
        )
        parts = trace_centers(mask)
        if min(map(len, parts)) < 3:
            yield dict(shape, **_mask_shape(mask, segment['box']))
            continue
        for part in parts:
            yield dict(shape, shape_type='polygon', points=part.tolist(), mask=None)


def _mask_shape(mask: np.ndarray, box: list[int]) -> dict[str, Any]:
    x, y, width, height = box
    buffer = io.BytesIO()
    inside = mask[y : y + height, x : x + width].astype(bool)
    Image.fromarray(inside).save(buffer, format='PNG')
    return dict(
        shape_type='mask',
        points=[[x, y], [x + width - 1, y + height - 1]],
        mask=base64.b64encode(buffer.getvalue()).decode(),
    )
