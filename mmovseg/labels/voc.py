"""Pascal VOC's format: PNGs with palette of classes and of objects.

``SegmentationClass/NAME.png``: 0 is background, 1, 2, ... the names in their order.
``SegmentationObject/NAME.png``: 0 is background, 1, 2, ... the photo's segments, stuff
too: readers take what is no object for background.
``labelmap.txt``: the colors of the names, as CVAT and Datumaro read them. VOC's 255,
the border of objects, is not used. Where masks overlap, the best is on top.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..fileio import write_atomic
from ..vocabulary import Vocabulary
from .images import voc_palette, write_png
from .photo_labels import Photos, check_count

BORDER = 255


def check(vocabulary: Vocabulary) -> None:
    """Check that VOC has numbers for all classes."""
    check_count(vocabulary, BORDER - 1, 'voc')
    for name in vocabulary.names:
        if ':' in name:
            raise ValueError(f'voc: a name cannot have a colon, got {name!r}.')


def write(photos: Photos, vocabulary: Vocabulary, folder: Path, made_by: str) -> None:
    """Write the labels of all photos; see :func:`mmovseg.labels.write_labels`."""
    palette = voc_palette()
    names = ['background', *vocabulary.names]
    lines = [
        f'{name}:{",".join(map(str, palette[number].tolist()))}::'
        for number, name in enumerate(names)
    ]
    text = '\n'.join([f'# {made_by}', '# label:color_rgb:parts:actions', *lines])
    for photo in photos:
        labels = photo.paint([x['label'] + 1 for x in photo.segments])
        name = f'{photo.stem}.png'
        write_png(folder / 'SegmentationClass' / name, labels.astype(np.uint8), palette)
        if len(photo.segments) >= BORDER:
            raise ValueError(
                f'voc has numbers for {BORDER - 1} objects, and {photo.file_name} has '
                f'{len(photo.segments)}: raise the thresholds or take another format.'
            )
        objects = photo.number_map().astype(np.uint8)
        write_png(folder / 'SegmentationObject' / name, objects, palette)
    write_atomic(folder / 'labelmap.txt', f'{text}\n')
