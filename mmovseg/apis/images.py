"""Read any photo as 8-bit BGR, and write files that are complete or absent."""

from __future__ import annotations

import io
import json
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.fileio import get as get_bytes
from PIL import Image, ImageOps

EXTENSIONS = {
    *('.bmp', '.gif', '.jpeg', '.jpg', '.pbm', '.pgm', '.png', '.ppm', '.tif'),
    *('.tiff', '.webp'),
}


class ImageError(ValueError):
    """An image that cannot be used; the message names it."""


def load_image(path: str | Path) -> np.ndarray:
    """Read an image file the way a viewer shows it.

    The EXIF orientation is applied. Grey becomes three equal channels, transparency
    is put on white, 16 bits are scaled to 8, of an animation the first frame counts.

    Args:
        path: A file or a URL.

    Returns:
        BGR, uint8, ``[H, W, 3]``.

    Raises:
        ImageError: If the file is missing, empty, damaged, or no image.
    """
    if '://' in str(path):
        try:
            data = get_bytes(str(path))
        except Exception as error:  # each file backend raises its own
            raise ImageError(f'Image {path} cannot be fetched: {error}') from error
    else:
        path = Path(path)
        if not path.exists():
            raise ImageError(f'Image {path} does not exist.')
        if path.is_dir():
            raise ImageError(f'{path} is a folder, not an image.')
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ImageError(f'Image {path} cannot be read: {error}') from error
    if not data:
        raise ImageError(f'Image {path} is empty (0 bytes).')
    try:
        image = Image.open(io.BytesIO(data))
    except Exception as error:  # Pillow's readers raise many kinds on odd bytes
        raise ImageError(
            f'{path} is not an image that Pillow can read: {error}'
        ) from error
    try:
        image.load()
        return pil_to_bgr(image)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f'Image {path} is truncated or damaged: {error}') from error


def pil_to_bgr(image: Image.Image) -> np.ndarray:
    """Convert a Pillow image of any mode; see :func:`load_image`."""
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # EXIF that cannot be parsed tells no orientation
        image = image.copy()
    if image.mode.startswith('I;16') or image.mode in ('I', 'F'):
        return array_to_bgr(_eight_bits(np.asarray(image)))
    if image.mode == 'La':
        image = image.convert('LA')  # the only way out of this mode
    has_alpha = image.mode in ('LA', 'PA', 'RGBA', 'RGBa')
    if has_alpha or 'transparency' in image.info:
        image = image.convert('RGBA')
        white = Image.new('RGBA', image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])


def array_to_bgr(array: np.ndarray) -> np.ndarray:
    """Check an array and give it three channels.

    Args:
        array: uint8 or uint16; ``[H, W]`` grey, or ``[H, W, C]`` with C = 1 (grey),
            3 (BGR) or 4 (BGRA, put on white).

    Returns:
        BGR, uint8, ``[H, W, 3]``.

    Raises:
        ImageError: If the shape or type is another one.
    """
    channels = 1 if array.ndim == 2 else array.shape[-1] if array.ndim == 3 else 0
    if channels not in (1, 3, 4) or 0 in array.shape:
        raise ImageError(
            'An image array must be [H, W], [H, W, 1], [H, W, 3] (BGR) or [H, W, 4] '
            f'(BGRA) and not empty, got shape {array.shape}.'
        )
    if array.dtype == np.uint16:
        array = _eight_bits(array)
    if array.dtype != np.uint8:
        raise ImageError(
            f'An image array must be uint8 or uint16, got {array.dtype}; scale other '
            'values to 0..255 yourself.'
        )
    if channels == 4:
        alpha = array[..., 3:].astype(np.float32) / 255
        colours = array[..., :3] * alpha + 255 * (1 - alpha)
        return np.rint(colours).astype(np.uint8)
    if channels == 1:
        array = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(array)


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Scale to 0..255: integers from 0..65535, floats from 0..1 (or 0..255)."""
    if np.issubdtype(values.dtype, np.floating):
        values = np.nan_to_num(values)
        values = values * 255 if values.max() <= 1 else values
    elif values.dtype.itemsize == 2 or values.max() > 255:
        values = values / 257  # 65535 becomes 255
    return np.rint(values.clip(0, 255)).astype(np.uint8)


def find_images(folder: str | Path) -> list[str]:
    """List the image files of a folder, by name, without its subfolders.

    Raises:
        ImageError: If there is none.
    """
    paths = sorted(
        str(path)
        for path in Path(folder).iterdir()
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith('.')
    )
    if not paths:
        raise ImageError(
            f'{folder} holds no image file ({", ".join(sorted(EXTENSIONS))}).'
        )
    return paths


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file at once: others see the old one or the complete new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{uuid.uuid4().hex}.part')
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_png(path: str | Path, array: np.ndarray) -> None:
    """Write a PNG: uint8 ``[H, W, 3]`` RGB, or uint8 or uint16 ``[H, W]`` grey."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format='PNG')
    write_bytes(path, buffer.getvalue())


def write_json(path: str | Path, value: Any) -> None:
    """Write readable JSON."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    write_bytes(path, (text + '\n').encode())
