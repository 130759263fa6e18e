"""Results as pictures for a screen."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image
from pycocotools import mask as rle

from ..apis import Result
from ..labels.photo_labels import decode_mask

# Pixels of the longer side of the picture in the page. Small photos are enlarged, or
# the names in them would be large and coarse.
MIN_SIDE, MAX_SIDE = 800, 1600


def fit_screen(result: Result) -> Result:
    """Return a result at a size for the screen.

    Args:
        result: With its photo.
    """
    assert result.image is not None
    height, width = result.label_map.shape
    side = min(max(height, width, MIN_SIDE), MAX_SIDE)
    factor = side / max(height, width)
    if factor == 1:
        return result
    size = max(1, round(width * factor)), max(1, round(height * factor))

    def resize(mask: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))

    segments = []
    for segment in result.segments:
        if segment.mask is not None:
            small = resize(decode_mask(segment.mask))
            coded = rle.encode(np.asfortranarray(small))
            mask = dict(size=coded['size'], counts=coded['counts'].decode())
            segment = replace(segment, mask=mask)
        segments.append(segment)
    way = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.BOX
    image = Image.fromarray(result.image).resize(size, way)
    return replace(
        result,
        image=np.asarray(image),
        label_map=resize(result.label_map),
        segments=segments,
    )


def draw_screen(result: Result) -> np.ndarray:
    """Return the drawing of a result for the screen, without legend, RGB."""
    small = fit_screen(result)
    height, width = small.label_map.shape
    return small.overlay()[:height, :width]


def number_segments(result: Result) -> np.ndarray:
    """Return the place of the segment in the list at every pixel, from 1; 0 for none.

    Returns:
        RGB, uint8, ``[H, W, 3]``: red holds the lowest 8 bits, then green, then blue.
    """
    largest = max((segment.id for segment in result.segments), default=0)
    numbers = np.zeros(max(largest, int(result.label_map.max(initial=0))) + 1, np.int32)
    for number, segment in enumerate(result.segments, 1):
        numbers[segment.id] = number
    found = numbers[result.label_map]
    return np.stack([found >> shift & 255 for shift in (0, 8, 16)], -1).astype(np.uint8)


def encode_png(array: np.ndarray) -> bytes:
    """Return an array as the bytes of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format='PNG')
    return buffer.getvalue()
