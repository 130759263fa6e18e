"""Find photos, and write files that are complete or absent."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..fileio import printable, write_atomic
from ..formats.image_file import (
    EXTENSIONS,
    ImageError,
    array_to_bgr,
    load_image,
    pil_to_bgr,
)

__all__ = [
    'EXTENSIONS',
    'ImageError',
    'array_to_bgr',
    'find_images',
    'is_folder',
    'list_sources',
    'load_image',
    'pil_to_bgr',
    'write_json',
    'write_png',
]


def find_images(folder: str | PathLike[str]) -> list[str]:
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


def list_sources(inputs: Any) -> list[Any]:
    """Flatten inputs; the images of a folder take its place.

    Args:
        inputs: A path, an array or a Pillow image, or a list of them.

    Raises:
        ImageError: If there are none.
    """
    if not isinstance(inputs, (list, tuple)):
        inputs = [inputs]
    sources: list[Any] = []
    for item in inputs:
        if is_folder(item):
            try:
                sources += find_images(item)
            except ImageError:
                if len(inputs) == 1:
                    raise
                sources.append(item)  # reported like any photo that fails
        else:
            sources.append(item)
    if not sources:
        raise ImageError('There is no photo to segment: the list is empty.')
    return sources


def is_folder(item: Any) -> bool:
    """Whether an input is the path of a folder of photos."""
    return isinstance(item, (str, PathLike)) and os.path.isdir(item)


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
