"""Pictures of a class, next to its names, and the files that hold both."""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from ..fileio import printable

CLASSES = 'classes.txt'  # in a file with examples
MAX_BYTES = 2**30  # of all examples together
MAX_PIXELS = 2**28  # of one
_PNG = b'\x89PNG\r\n\x1a\n'
_MEMBER = re.compile(r'examples/(\d{1,6})_(\d{1,6})(_mask)?\.png')
_TIME = (1980, 1, 1, 0, 0, 0)  # the same content is the same file


class Example(NamedTuple):
    """An image that shows an object of a class, and where.

    Attributes:
        image: PNG, in color.
        mask: PNG of the same size, gray; 0 outside the object.
    """

    image: bytes
    mask: bytes


def read_example(pair: Any, where: str) -> Example:
    """Make an example of what a user has.

    Args:
        pair: Image and mask. An image is a path, an array (BGR, as everywhere in
            OpenMMLab) or a Pillow image; a mask too, of the same size, where all that
            is above 0 is the object. Arrays of masks may be of bools, and a palette
            image counts by its indices.
        where: What errors call it.

    Raises:
        TypeError: If it is no pair, or a part is of another type.
        ValueError: If an image cannot be read, the sizes differ, or the mask is empty.
    """
    import cv2
    import numpy as np

    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(
            f'{where} must be a pair of an image and a mask, got {_shorten(pair)}.'
        )
    image, mask = _to_image(pair[0], where), _to_mask(pair[1], where)
    if image.shape[:2] != mask.shape:
        sizes = [f'{x.shape[1]} x {x.shape[0]}' for x in (image, mask)]
        raise ValueError(
            f'{where}: the image has {sizes[0]} pixels, its mask {sizes[1]}; give a '
            'mask of the size of the image.'
        )
    if not mask.any():
        raise ValueError(f'{where}: the mask is empty, so nothing is an example.')
    parts = []
    for array in (image, mask.astype(np.uint8) * 255):
        done, encoded = cv2.imencode('.png', array)
        assert done
        parts.append(encoded.tobytes())
    return Example(*parts)


def _to_image(source: Any, where: str) -> Any:
    """Return BGR, uint8, ``[H, W, 3]``."""
    import numpy as np
    from PIL import Image

    from ..formats.image_file import ImageError, array_to_bgr, load_image, pil_to_bgr

    try:
        if isinstance(source, (str, PathLike)):
            return load_image(os.fspath(source))
        if isinstance(source, Image.Image):
            return pil_to_bgr(source)
        if isinstance(source, np.ndarray):
            return array_to_bgr(source)
    except ImageError as error:
        raise ValueError(f'{where}: {error}') from error
    raise TypeError(
        f'{where}: an image is a path, an array or a Pillow image, got '
        f'{_shorten(source)}.'
    )


def _to_mask(source: Any, where: str) -> Any:
    """Return bools, ``[H, W]``; a palette image is what its indices say."""
    array: Any
    import numpy as np
    from PIL import Image, ImageOps

    from ..formats.image_file import ImageError, open_image, read_file

    if isinstance(source, (str, PathLike)):
        path = os.fspath(source)
        try:
            if not os.path.exists(path):
                raise ImageError(f'Mask {printable(path)} does not exist.')
            source = open_image(read_file(path), path)
            source.load()
        except (OSError, SyntaxError, ValueError) as error:  # an ImageError, too
            raise ValueError(f'{where}: {error}') from error
    if isinstance(source, Image.Image):
        source = ImageOps.exif_transpose(source)  # as its photo is turned
        if source.mode in ('LA', 'La', 'PA', 'RGBa'):
            source = source.convert('RGBA')
        elif source.mode in ('CMYK', 'YCbCr', 'LAB', 'HSV'):  # black is not 0 in these
            source = source.convert('RGB')
    if hasattr(source, '__array__') or hasattr(source, '__array_interface__'):
        array = np.asarray(source)
    else:
        raise TypeError(
            f'{where}: a mask is a path, an array or a Pillow image, got '
            f'{_shorten(source)}.'
        )
    if array.ndim == 3 and array.shape[-1] == 4:
        # Drawing programs save a mask with an opaque background.
        array = array[..., :3] if (array[..., 3] > 0).all() else array[..., 3]
    if array.ndim == 3:
        array = array.any(-1)
    if array.ndim != 2 or array.dtype.kind not in 'buif':
        raise ValueError(
            f'{where}: a mask is [H, W], of numbers or bools, got an array of shape '
            f'{array.shape} of {array.dtype}.'
        )
    return array.astype(bool) if array.dtype == bool else array > 0


def _shorten(value: Any) -> str:
    if hasattr(value, 'shape'):
        return f'a {type(value).__name__} of shape {tuple(value.shape)}'
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:60]}...'


def read_examples(examples: Iterable[Any], name: str) -> tuple[Example, ...]:
    """Make examples of a list of pairs; see :func:`read_example`.

    Raises:
        TypeError: If it is no list of pairs.
        ValueError: If there is none.
    """
    if isinstance(examples, (str, PathLike, dict)) or not isinstance(
        examples, Iterable
    ):
        raise TypeError(
            f'Examples of {name!r} are a list of pairs (image, mask), got '
            f'{_shorten(examples)}.'
        )
    found = tuple(
        read_example(pair, f'Example {number} of {name!r}')
        for number, pair in enumerate(examples, 1)
    )
    if not found:
        raise ValueError(f'There is no example of {name!r}: the list is empty.')
    return found


def pack(lines: str, examples: Sequence[Sequence[Example]]) -> bytes:
    """Return a file with classes and examples, a ZIP archive.

    Args:
        lines: Text of a vocabulary file.
        examples: Of every class.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(CLASSES, _TIME), lines)
        for label, group in enumerate(examples):
            for number, example in enumerate(group):
                stem = f'examples/{label:06}_{number:06}'
                archive.writestr(zipfile.ZipInfo(f'{stem}.png', _TIME), example.image)
                archive.writestr(
                    zipfile.ZipInfo(f'{stem}_mask.png', _TIME), example.mask
                )
    return buffer.getvalue()


def unpack(path: Path) -> tuple[bytes, dict[int, tuple[Example, ...]]]:
    """Read a file that :func:`pack` has made; nothing is written to disk.

    Returns:
        Text of the classes, and examples by class.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is another one, or damaged.
    """
    parts: dict[tuple[int, int], dict[bool, bytes]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(x.file_size for x in members) > MAX_BYTES:
                raise ValueError(f'{path} holds more than {MAX_BYTES:,} bytes.')
            for member in members:
                match = _MEMBER.fullmatch(member.filename)
                if match:
                    key = int(match[1]), int(match[2])
                    parts.setdefault(key, {})[bool(match[3])] = archive.read(member)
            lines = archive.read(CLASSES)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise ValueError(
            f'{path} is no vocabulary with examples, or damaged ({error}); '
            "Vocabulary.save('names.zip') makes one."
        ) from error
    examples: dict[int, tuple[Example, ...]] = {}
    for (label, number), pair in sorted(parts.items()):
        where = f'{path}, example {number} of class {label + 1}'
        if set(pair) != {False, True}:
            raise ValueError(f'{where}: the image or its mask is missing.')
        example = Example(pair[False], pair[True])
        sizes = {_png_size(x, where) for x in example}
        if len(sizes) > 1:
            raise ValueError(f'{where}: image and mask have other sizes.')
        examples[label] = (*examples.get(label, ()), example)
    return lines, examples


def _png_size(data: bytes, where: str) -> tuple[int, int]:
    """Return width and height of a PNG, and check it."""
    from ..formats.image_file import open_image

    if not data.startswith(_PNG) or len(data) < 24:
        raise ValueError(f'{where} is no PNG.')
    width, height = struct.unpack('>II', data[16:24])
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f'{where} has {width} x {height} pixels.')
    try:
        open_image(data, where).verify()  # its checksums; no pixel is decoded
    except (OSError, SyntaxError) as error:
        raise ValueError(f'{where} is damaged: {error}') from error
    return width, height
