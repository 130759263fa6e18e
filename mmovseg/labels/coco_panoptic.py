"""COCO's panoptic format: ``panoptic.json`` and one PNG of segment ids per photo.

Ids are 1, 2, ... in each photo, ``id = R + 256 * G + 65536 * B``; 0 is no segment.
Where masks overlap, the best is on top; what is fully covered is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..vocabulary import Vocabulary
from .coco_instances import list_categories, list_images
from .images import find_box, write_png
from .json_lists import write_json_lists
from .photo_labels import Photos


def write(photos: Photos, vocabulary: Vocabulary, folder: Path, made_by: str) -> None:
    """Write the labels of all photos; see :func:`mmovseg.labels.write_labels`."""
    categories = [
        dict(x, isthing=int(x['supercategory'] == 'thing'))
        for x in list_categories(vocabulary)
    ]
    write_json_lists(
        folder / 'panoptic.json',
        dict(info=dict(description=made_by), categories=categories),
        dict(
            images=list_images(photos),
            annotations=_list_annotations(photos, folder / 'panoptic'),
        ),
    )


def _list_annotations(photos: Photos, folder: Path) -> Iterator[dict[str, Any]]:
    for image, photo in enumerate(photos, 1):
        ids = photo.number_map()
        rgb = np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], -1)
        name = f'{photo.stem}.png'
        write_png(folder / name, rgb.astype(np.uint8))
        infos = []
        for number, segment in enumerate(photo.segments, 1):
            place = ids == number
            if not place.any():
                continue
            info = dict(
                id=number,
                category_id=segment['label'] + 1,
                area=int(np.count_nonzero(place)),
                bbox=find_box(place),
                iscrowd=0,
            )
            if segment['score'] is not None:
                info['score'] = segment['score']
            infos.append(info)
        yield dict(image_id=image, file_name=name, segments_info=infos)
