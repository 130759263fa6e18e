"""Label maps as PNGs."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from .. import tar_files
from ..fileio import write_atomic


def write_png(
    path: Path, values: np.ndarray, palette: np.ndarray | None = None
) -> None:
    """Write a label map.

    Args:
        path: Where the file goes.
        values: uint8 ``[H, W, 3]`` RGB, or uint8 or uint16 ``[H, W]``.
        palette: uint8 ``[N, 3]`` RGB, with which viewers show 8 bits.
    """
    image = Image.fromarray(values)
    if palette is not None:
        image = Image.fromarray(values, 'P') if image.mode != 'L' else image
        image.putpalette(np.ascontiguousarray(palette).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format='PNG')
    write_atomic(path, buffer.getvalue())


def voc_palette() -> np.ndarray:
    """Return Pascal VOC's 256 colors, uint8 ``[256, 3]`` RGB.

    Bits 0, 1 and 2 of a label are the highest bits of red, green and blue, bits 3, 4
    and 5 the next ones, and so on. Source: VOC development kit, ``VOClabelcolormap``.
    """
    labels = np.arange(256)
    colors = np.zeros((256, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (labels >> (3 * bit + channel) & 1) << (7 - bit)
    return colors.astype(np.uint8)


def find_box(mask: np.ndarray) -> list[int]:
    """Return x, y, width, height of a mask ``[H, W]`` that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y]


def link_photo(source: Path, path: Path) -> None:
    """Put a link to a photo where a tool looks for it, or a copy without links.

    Of a photo in a tar file there is a copy.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if tar_files.split_path(source) is not None:
        write_atomic(path, tar_files.read_bytes(source))
        return
    target = os.path.abspath(source)
    if path.is_symlink() and os.readlink(path) == target:
        return
    path.unlink(missing_ok=True)  # never written to, should it be a link to a photo
    try:
        path.symlink_to(target)
    except OSError:  # not on every system
        write_atomic(path, Path(target).read_bytes())
