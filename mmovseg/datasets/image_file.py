"""Reading image files with errors that name the file.

The usual decoder returns half a picture, padded with grey, for a cut-off JPEG and
None for other broken files; both end in errors far from the cause.
"""

from __future__ import annotations

import mmcv
import numpy as np
from mmengine import fileio

JPEG_START, JPEG_SCAN, JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
PNG_START, PNG_END = b'\x89PNG', b'IEND'


def _is_truncated(data: bytes) -> bool:
    if data.startswith(JPEG_START):
        # An embedded thumbnail ends before the last scan starts.
        return data.rfind(JPEG_END) < data.rfind(JPEG_SCAN)
    return data.startswith(PNG_START) and PNG_END not in data


def read_image(
    path: str,
    *,
    flag: str = 'color',
    channel_order: str = 'bgr',
    backend: str | None = None,
    backend_args: dict | None = None,
) -> np.ndarray:
    """Read and decode one image.

    Args:
        path: Where the file is.
        flag: What to decode, as in ``mmcv.imfrombytes``.
        channel_order: ``'bgr'`` or ``'rgb'``.
        backend: Decoder, as in ``mmcv.imfrombytes``.
        backend_args: Storage backend, as in ``mmengine.fileio.get``.

    Returns:
        The image, ``[H, W, 3]`` or ``[H, W]``, uint8 unless ``flag`` says otherwise.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, cut off, or no image.
    """
    data = fileio.get(path, backend_args=backend_args)
    if not data:
        raise ValueError(f'Image file {path} is empty.')
    if _is_truncated(data):
        raise ValueError(
            f'Image file {path} is cut off after {len(data)} bytes; copy it again.'
        )
    try:
        image = mmcv.imfrombytes(
            data, flag=flag, channel_order=channel_order, backend=backend
        )
    except Exception as error:
        raise ValueError(f'Image file {path} cannot be decoded: {error}') from error
    if image is None:
        raise ValueError(f'Image file {path} cannot be decoded: broken or no image.')
    return image
