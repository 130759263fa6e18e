"""COCO's instance format: ``instances.json``, masks as RLE or polygons.

Every segment is an annotation, of things and of stuff; ``supercategory`` tells which.
Category ids are 1, 2, ... in the order of the names. ``score`` is the model's, as in
COCO's results. Polygons run along the edges of the pixels; COCO's own reader draws the
same masks from them. A hole is joined to its outline by a line there and back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..vocabulary import Vocabulary
from .json_lists import write_json_lists
from .photo_labels import Photos, decode_mask
from .polygons import trace_edges


def write(
    photos: Photos,
    vocabulary: Vocabulary,
    folder: Path,
    made_by: str,
    *,
    polygons: bool = False,
) -> None:
    """Write the labels of all photos; see :func:`mmovseg.labels.write_labels`."""
    write_json_lists(
        folder / 'instances.json',
        dict(info=dict(description=made_by), categories=list_categories(vocabulary)),
        dict(
            images=list_images(photos),
            annotations=_list_annotations(photos, polygons),
        ),
    )


def write_polygons(
    photos: Photos, vocabulary: Vocabulary, folder: Path, made_by: str
) -> None:
    """Write the labels of all photos with polygons."""
    write(photos, vocabulary, folder, made_by, polygons=True)


def list_categories(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Return the categories of COCO's formats."""
    kinds = [('thing' if thing else 'stuff') for thing in vocabulary.is_thing]
    pairs = zip(vocabulary.names, kinds, strict=True)
    return [
        dict(id=number, name=name, supercategory=kind)
        for number, (name, kind) in enumerate(pairs, 1)
    ]


def list_images(photos: Photos) -> Iterator[dict[str, Any]]:
    """Yield the images of COCO's formats."""
    for number, photo in enumerate(photos, 1):
        yield dict(
            id=number,
            file_name=photo.file_name,
            height=photo.height,
            width=photo.width,
        )


def _list_annotations(photos: Photos, polygons: bool) -> Iterator[dict[str, Any]]:
    number = 0
    for image, photo in enumerate(photos, 1):
        for segment in photo.segments:
            number += 1
            mask: Any = segment['mask']
            if polygons:
                rings = trace_edges(decode_mask(mask))
                mask = [ring.ravel().tolist() for ring in rings]
            annotation = dict(
                id=number,
                image_id=image,
                category_id=segment['label'] + 1,
                bbox=segment['box'],
                area=segment['area'],
                iscrowd=0,
            )
            if segment['score'] is not None:
                annotation['score'] = segment['score']
            yield dict(annotation, segmentation=mask)
