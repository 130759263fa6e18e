"""The format of ADE20K's benchmark: ``annotations/NAME.png`` and ``classes.txt``.

0 is no class, 1, 2, ... are the names in their order (mmseg: ``reduce_zero_label``). Up
to 255 names make a PNG of 8 bits with a palette, more one of 16 bits. ``classes.txt``
has one line per number: the number, a tab, and the name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..fileio import write_atomic
from ..vocabulary import Vocabulary
from .images import voc_palette, write_png
from .photo_labels import MAX_GRAY, Photos, check_count


def check(vocabulary: Vocabulary) -> None:
    """Check that 16 bits have numbers for all classes."""
    check_count(vocabulary, MAX_GRAY - 1, 'ade')


def write(photos: Photos, vocabulary: Vocabulary, folder: Path, made_by: str) -> None:
    """Write the labels of all photos; see :func:`mmovseg.labels.write_labels`."""
    small = len(vocabulary) < 256
    kind, palette = (np.uint8, voc_palette()) if small else (np.uint16, None)
    for photo in photos:
        labels = photo.paint([x['label'] + 1 for x in photo.segments]).astype(kind)
        write_png(folder / 'annotations' / f'{photo.stem}.png', labels, palette)
    lines = [f'{number}\t{name}\n' for number, name in enumerate(vocabulary.names, 1)]
    write_atomic(folder / 'classes.txt', ''.join(lines))
