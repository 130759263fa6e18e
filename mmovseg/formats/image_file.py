"""Read image files; errors name the file.

The usual decoder returns half a picture, padded with gray, for a cut-off JPEG and
None for other broken files. Both end in errors far from the cause.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from mmengine import fileio
from PIL import Image, ImageOps, UnidentifiedImageError

from .. import tar_files
from ..fileio import printable

JPEG_START, JPEG_SCAN, JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
PNG_START, PNG_END = b'\x89PNG', b'IEND'
ORIENTATION = 0x0112  # EXIF tag
# Endings of the files that are photos, in lower case.
EXTENSIONS = {
    *('.bmp', '.gif', '.jpeg', '.jpg', '.pbm', '.pgm', '.png', '.ppm', '.tif'),
    *('.tiff', '.webp'),
}
# The only formats that are decoded: others may start programs, as EPS does.
FORMATS = ('BMP', 'GIF', 'JPEG', 'PNG', 'PPM', 'TIFF', 'WEBP')
FLAGS = {
    'color': cv2.IMREAD_COLOR,
    'grayscale': cv2.IMREAD_GRAYSCALE,
    'unchanged': cv2.IMREAD_UNCHANGED,
    'color_ignore_orientation': cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
    'grayscale_ignore_orientation': (
        cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    ),
}
MAX_BYTES = 1 << 31  # of a file; larger ones would fill the memory


class ImageError(ValueError):
    """An image that cannot be used; the message names it."""


def read_photo(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Read a photo the way a viewer shows it.

    Training, evaluation and inference all read photos with this function. It applies
    the EXIF orientation, repeats gray in three channels, puts transparency on white,
    scales 16 bits to 8, and takes the first frame of an animation.

    Args:
        path: Where the file is.
        backend_args: Storage backend, as in ``mmengine.fileio.get``.

    Returns:
        BGR, uint8, ``[H, W, 3]``.

    Raises:
        FileNotFoundError: If there is no such file.
        ImageError: If the file is empty, cut off, damaged, or no image.
    """
    return decode_photo(read_file(path, backend_args), path)


def load_image(path: str | Path) -> np.ndarray:
    """Read a photo like :func:`read_photo`, with one kind of error.

    Args:
        path: A file or a URL.

    Returns:
        BGR, uint8, ``[H, W, 3]``.

    Raises:
        ImageError: If the file is missing, empty, damaged, or no image.
    """
    name = printable(os.fsdecode(path))
    try:
        data = read_file(path)
    except ImageError:
        raise
    except FileNotFoundError as error:
        why = 'is a link to nothing' if os.path.islink(path) else 'does not exist'
        raise ImageError(f'Image {name} {why}.') from error
    except Exception as error:  # each file backend raises its own
        verb = 'fetched' if '://' in name else 'read'
        reason = getattr(error, 'strerror', None) or _describe(error)
        raise ImageError(f'Image {name} cannot be {verb}: {reason}') from error
    return decode_photo(data, path)


def read_file(path: str | Path, backend_args: dict | None = None) -> bytes:
    """Read a file that should be an image; what is no file is never waited for.

    Args:
        path: A file or a URL.
        backend_args: Storage backend, as in ``mmengine.fileio.get``.

    Raises:
        FileNotFoundError: If there is no such file.
        ImageError: If it is a folder, a pipe or a device, or has more than
            :data:`MAX_BYTES`.
    """
    if backend_args or '://' in str(path):
        return fileio.get(str(path), backend_args=backend_args)
    with _open_file(path) as file:
        return file.read()


def read_size(path: str | Path) -> tuple[int, int]:
    """Read width and height of an image from the start of its file.

    Args:
        path: A local file. EXIF orientation is not applied.

    Returns:
        Width and height in pixels.

    Raises:
        FileNotFoundError: If there is no such file.
        ImageError: If it is no image file.
    """
    name = printable(os.fsdecode(path))
    with _open_file(path) as file:
        try:
            return Image.open(file, formats=FORMATS).size
        except Exception as error:
            raise ImageError(
                f'Image {name} cannot be opened: {_describe(error)}'
            ) from error


@contextmanager
def _open_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a regular file of at most MAX_BYTES, or a member of a tar file."""
    # A pipe without a writer would block at once.
    flags = os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0)
    try:
        descriptor = os.open(path, flags)
    except NotADirectoryError:
        yield io.BytesIO(tar_files.read_bytes(path))
        return
    try:
        status, name = os.fstat(descriptor), printable(os.fsdecode(path))
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f'{name} is a folder, not an image.')
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f'{name} is a pipe or a device, not an image file.')
        if status.st_size > MAX_BYTES:
            size = f'{status.st_size} bytes; at most {MAX_BYTES}'
            raise ImageError(f'Image {name} has {size} are read.')
        with open(descriptor, 'rb', closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def decode_photo(data: bytes, name: Any) -> np.ndarray:
    """Decode the bytes of a photo; see :func:`read_photo`.

    Args:
        data: Content of the file.
        name: What an error calls it.
    """
    image = open_image(data, name)
    name = printable(str(name))
    try:
        is_plain = image.format in ('JPEG', 'MPO') and image.mode in ('L', 'RGB')
        if is_plain and _orientation(image) == 1:
            # OpenCV gives the same numbers in less time.
            flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
            if decoded is not None:
                return decoded
        image.load()
        return pil_to_bgr(image)
    except ImageError:
        raise
    except MemoryError as error:
        width, height = image.size
        raise ImageError(
            f'Image {name} of {width} x {height} pixels needs more memory than there '
            'is; make it smaller.'
        ) from error
    except Exception as error:  # Pillow's readers raise many kinds on odd bytes
        raise ImageError(
            f'Image {name} is truncated or damaged: {_describe(error)}'
        ) from error


def open_image(data: bytes, name: Any) -> Image.Image:
    """Open one of :data:`FORMATS` with Pillow, without decoding its pixels.

    Args:
        data: Content of the file.
        name: What an error calls it.

    Raises:
        ImageError: If the file is empty, cut off, or no image of these formats.
    """
    name = printable(str(name))
    if not data:
        raise ImageError(f'Image {name} is empty (0 bytes).')
    if _is_truncated(data):
        raise ImageError(
            f'Image {name} is cut off after {len(data)} bytes; copy it again.'
        )
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(
            f'{name} is not an image of a known format ({", ".join(FORMATS)}).'
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f'Image {name} has too many pixels; make it smaller: {error}'
        ) from error
    except Exception as error:
        raise ImageError(
            f'Image {name} cannot be opened: {_describe(error)}'
        ) from error


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__


def _is_truncated(data: bytes) -> bool:
    if data.startswith(JPEG_START):
        # An embedded thumbnail ends before the last scan starts.
        return data.rfind(JPEG_END) <= data.rfind(JPEG_SCAN)
    return data.startswith(PNG_START) and PNG_END not in data


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # EXIF that cannot be parsed tells no orientation
        return 1


def pil_to_bgr(image: Image.Image) -> np.ndarray:
    """Convert a Pillow image of any mode; see :func:`read_photo`."""
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I;16') or image.mode in ('I', 'F'):
        return array_to_bgr(_eight_bits(np.asarray(image)))
    if image.mode == 'La':
        image = image.convert('LA')  # the only way out of this mode
    has_alpha = image.mode in ('LA', 'PA', 'RGBA', 'RGBa')
    if has_alpha or 'transparency' in image.info:
        image = image.convert('RGBA')
        white = Image.new('RGBA', image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return cv2.cvtColor(np.asarray(image.convert('RGB')), cv2.COLOR_RGB2BGR)


def array_to_bgr(array: np.ndarray) -> np.ndarray:
    """Check an array and give it three channels.

    Args:
        array: uint8 or uint16; ``[H, W]`` gray, or ``[H, W, C]`` with C = 1 (gray),
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
        colors = array[..., :3] * alpha + 255 * (1 - alpha)
        return np.rint(colors).astype(np.uint8)
    if channels == 1:
        array = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(array)


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Scale to 0..255: integers from 0..65535, floats from 0..1 (or 0..255).

    NaN becomes 0, and an infinity the end of the range. Neither decides on the range.
    """
    if np.issubdtype(values.dtype, np.floating):
        largest = values.max(initial=0, where=np.isfinite(values))
        values = np.nan_to_num(values, posinf=255, neginf=0)
        values = values * 255 if largest <= 1 else values
    elif values.dtype.itemsize == 2 or values.max() > 255:
        values = values / 257  # 65535 becomes 255
    return np.rint(values.clip(0, 255)).astype(np.uint8)


def read_image(
    path: str,
    *,
    flag: str = 'color',
    channel_order: str = 'bgr',
    backend: str = 'cv2',
    backend_args: dict | None = None,
) -> np.ndarray:
    """Decode one image as mmcv does, for what is no photo.

    Args:
        path: Where the file is.
        flag: ``'color'``, ``'grayscale'`` or ``'unchanged'``; the first two may have
            ``'_ignore_orientation'`` at the end.
        channel_order: ``'bgr'`` or ``'rgb'``.
        backend: ``'cv2'``, or ``'pillow'``, which gives the indices of a palette and
            decodes with the flag ``'unchanged'`` only.
        backend_args: Storage backend, as in ``mmengine.fileio.get``.

    Returns:
        The image, ``[H, W, 3]`` or ``[H, W]``, uint8 unless ``flag`` says otherwise.

    Raises:
        FileNotFoundError: If there is no such file.
        ImageError: If the file is empty, cut off, or no image.
        ValueError: If there is no such flag or backend.
    """
    known = FLAGS if backend == 'cv2' else ('unchanged',)
    if backend not in ('cv2', 'pillow') or flag not in known:
        raise ValueError(
            f"backend must be 'cv2' or 'pillow', and flag one of {tuple(known)} for "
            f'it, got {backend!r} and {flag!r}.'
        )
    data = read_file(path, backend_args)
    opened = open_image(data, path)
    image: np.ndarray | None
    try:
        if backend == 'pillow':
            image, stored = np.array(opened), 'rgb'
        else:
            image, stored = (
                cv2.imdecode(np.frombuffer(data, np.uint8), FLAGS[flag]),
                'bgr',
            )
    except Exception as error:
        raise ImageError(f'Image {path} cannot be decoded: {error}') from error
    if image is None:
        raise ImageError(f'Image {path} cannot be decoded: broken or no image.')
    if image.ndim == 3 and image.shape[-1] >= 3 and channel_order != stored:
        image[..., :3] = image[..., 2::-1].copy()
    return image
