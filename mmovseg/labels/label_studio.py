"""Predictions for Label Studio: ``tasks.json`` and ``config.xml``, of the project.

Masks are brush strokes in the run lengths of Label Studio's own converter. The address
of a photo is that of its local storage, ``/data/local-files/?d=PATH``: give the folder
of the photos as LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from ..fileio import atomic_path, write_atomic
from ..vocabulary import Vocabulary
from .json_lists import write_list
from .photo_labels import PhotoLabels, Photos

FROM_NAME, TO_NAME = 'segments', 'image'  # as in the project


def check(vocabulary: Vocabulary) -> None:
    """Check that the converter is there."""
    _find_converter()


def write(photos: Photos, vocabulary: Vocabulary, folder: Path, made_by: str) -> None:
    """Write the labels of all photos; see :func:`mmovseg.labels.write_labels`."""
    path = folder / 'tasks.json'
    with atomic_path(path) as draft, open(draft, 'w', encoding='utf-8') as file:
        write_list(file, _list_tasks(photos, made_by))
    view = ElementTree.Element('View')
    ElementTree.SubElement(view, 'Image', name=TO_NAME, value='$image')
    labels = ElementTree.SubElement(view, 'BrushLabels', name=FROM_NAME, toName=TO_NAME)
    for name in vocabulary.names:
        ElementTree.SubElement(labels, 'Label', value=name)
    ElementTree.indent(view)
    text = ElementTree.tostring(view, encoding='unicode')
    write_atomic(folder / 'config.xml', f'{text}\n')


def _list_tasks(photos: Photos, made_by: str) -> Iterator[dict[str, Any]]:
    for photo in photos:
        scores = [x['score'] for x in photo.segments if x['score'] is not None]
        prediction: dict[str, Any] = dict(model_version=made_by)
        if scores:
            prediction['score'] = sum(scores) / len(scores)
        prediction['result'] = list(_list_strokes(photo))
        address = f'/data/local-files/?d={quote(photo.file_name)}'
        yield dict(data=dict(image=address), predictions=[prediction])


def _list_strokes(photo: PhotoLabels) -> Iterator[dict[str, Any]]:
    mask2rle = _find_converter()
    pairs = zip(photo.segments, photo.masks(), strict=True)
    for number, (segment, mask) in enumerate(pairs):
        # The same in every run; no two alike in a project.
        key = hashlib.sha256(f'{photo.file_name}:{number}'.encode()).hexdigest()
        stroke = dict(
            id=key[:10],
            type='brushlabels',
            from_name=FROM_NAME,
            to_name=TO_NAME,
            original_width=photo.width,
            original_height=photo.height,
            image_rotation=0,
            value=dict(
                format='rle', rle=mask2rle(mask * 255), brushlabels=[segment['name']]
            ),
        )
        if segment['score'] is not None:
            stroke['score'] = segment['score']
        yield stroke


def _find_converter() -> Any:
    try:
        from label_studio_sdk.converter.brush import mask2rle
    except ImportError as error:
        raise ValueError(
            "label-studio needs Label Studio's converter: "
            "pip install 'mmovseg[label-studio]'."
        ) from error
    return mask2rle
