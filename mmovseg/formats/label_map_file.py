"""Read label maps: one number per pixel, as the file has it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .image_file import ImageError, open_image, read_file

# Formats that keep every value: JPEG and WebP change some, netpbm may scale all.
LOSSLESS = ('BMP', 'GIF', 'PNG', 'TIFF')
MAX_VALUE = 65535
SAMPLE_FORMAT = 339  # TIFF tag
# Pillow spreads few bits over 0..255. These factors undo it.
SPREAD = {'L;2': 85, 'L;4': 17}


class LabelMapError(ImageError):
    """An image that is no label map; the message names it."""


def read_label_map(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Read the values of a label map, from 1 to 32 bits deep.

    A palette image gives its indices, and an image of one bit 0 and 1.

    Args:
        path: Where the file is.
        backend_args: Storage backend, as in ``mmengine.fileio.get``.

    Returns:
        The values, 0 to 65535, ``[H, W]``: uint8, uint16 or int32.

    Raises:
        FileNotFoundError: If there is no such file.
        ImageError: If the file is empty, cut off or no image.
        LabelMapError: If it has several channels, a format that changes values, or
            values that are no labels.
    """
    image = open_image(read_file(path, backend_args), path)
    if image.format not in LOSSLESS:
        raise LabelMapError(
            f'The label map {path} is a {image.format} file, which does not keep every '
            'value. Write label maps as PNG or TIFF.'
        )
    mode = _stored_mode(image)
    try:
        values = np.asarray(image)
    except Exception as error:  # Pillow's readers raise many kinds on odd bytes
        raise ImageError(
            f'The label map {path} is truncated or damaged: {error}'
        ) from error
    if values.ndim != 2:
        raise LabelMapError(
            f'{path} is no label map, it has {values.shape[-1]} channels. Write one '
            'number per pixel (gray or palette), not colors.'
        )
    if mode in SPREAD:
        values = values // SPREAD[mode]
    elif ';' in mode and mode.endswith('I'):
        raise LabelMapError(
            f'The label map {path} stores inverted values (white is 0). Write it as '
            'PNG.'
        )
    elif values.dtype == np.uint8 and _is_signed(image):
        values = values.view(np.int8)
    return _check_values(path, values)


def _stored_mode(image: Image.Image) -> str:
    """Give Pillow's name of how the file stores a pixel; before it is decoded."""
    tiles = getattr(image, 'tile', None)
    stored = tiles[0][3] if tiles else ''
    stored = stored[0] if isinstance(stored, tuple) else stored
    return stored if isinstance(stored, str) else ''


def _is_signed(image: Image.Image) -> bool:
    """Whether it is a TIFF of signed integers, which Pillow ignores for 8 bits."""
    tags = getattr(image, 'tag_v2', {})  # of TIFFs
    return 2 in tags.get(SAMPLE_FORMAT, ())


def _check_values(path: str, values: np.ndarray) -> np.ndarray:
    if values.dtype == bool:
        return values.astype(np.uint8)
    if np.issubdtype(values.dtype, np.floating):
        is_whole = np.isfinite(values) & (values == np.round(values))
        if not is_whole.all():
            raise LabelMapError(
                f'The label map {path} has the value {values[~is_whole][0]}. Labels '
                f'are whole numbers from 0 to {MAX_VALUE}.'
            )
    if values.dtype != np.uint8:
        for value in (int(values.min()), int(values.max())):
            if not 0 <= value <= MAX_VALUE:
                raise LabelMapError(
                    f'The label map {path} has the value {value}. Labels are 0 to '
                    f'{MAX_VALUE}; write unlabeled pixels as the ignore_index, such '
                    'as 255.'
                )
        if values.dtype != np.uint16:
            values = values.astype(np.int32)
    return values
