"""Find photos, and write files that are complete or absent."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..datasets.image_file import (
    EXTENSIONS,
    ImageError,
    array_to_bgr,
    load_image,
    pil_to_bgr,
)
from ..fileio import printable, write_atomic

__all__ = [
    'EXTENSIONS',
    'ImageError',
    'array_to_bgr',
    'find_images',
    'load_image',
    'pil_to_bgr',
    'write_json',
    'write_png',
]


def find_images(folder: str | Path) -> list[str]:
    """List the image files of a folder, by name, without its subfolders.

    Raises:
        ImageError: If there is none, or the folder cannot be read.
    """
    try:
        paths = sorted(
            str(path)
            for path in Path(folder).iterdir()
            if path.suffix.lower() in EXTENSIONS and not path.name.startswith('.')
        )
    except OSError as error:
        raise ImageError(
            f'{printable(folder)} cannot be read: {error.strerror}'
        ) from error
    if not paths:
        endings = ', '.join(sorted(EXTENSIONS))
        raise ImageError(f'{printable(folder)} holds no image file ({endings}).')
    return paths


def write_png(
    path: str | Path, array: np.ndarray, text: Mapping[str, str] | None = None
) -> None:
    """Write a PNG.

    Args:
        path: Where the file goes.
        array: uint8 ``[H, W, 3]`` RGB, or uint8 or uint16 ``[H, W]`` gray.
        text: What the file says about itself, by key.
    """
    info = PngInfo()
    for key, value in (text or {}).items():
        info.add_text(key, value)
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format='PNG', pnginfo=info)
    write_atomic(path, buffer.getvalue())


def write_json(path: str | Path, value: Any) -> None:
    """Write readable JSON."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    write_atomic(path, f'{text}\n')
