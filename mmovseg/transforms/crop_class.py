"""Crop an image to the pixels of one class."""

from __future__ import annotations

import math
import random

import cv2
import numpy as np

from ..registry import TRANSFORMS
from .base_transform import BaseTransform

ATTEMPTS = 10  # as torchvision's RandomResizedCrop


@TRANSFORMS.register_module()
class CropClass(BaseTransform):
    """Cut out the box of one class, take a random part of it, and resize that.

    The label map of the result has this class and nothing else, and at least one of
    its pixels. (The released code can lose them all.)

    Required keys: ``img``, ``gt_seg_map`` and ``crop_label``, the class, which
    :class:`mmovseg.datasets.ClassCrops` gives. Changes ``img``, ``gt_seg_map`` and
    ``img_shape``.

    Args:
        size: Height and width of the result, in pixels.
        scale: Area of the random part, as share of the box.
        ratio: Its width divided by its height.
        ignore_index: What all other pixels of the map get.

    Raises:
        ValueError: If ``size`` is below 1, or a range is empty or not positive.

    Source: SimBaseline's and DeOP's prompt learning.
    """

    def __init__(
        self,
        size: int = 224,
        scale: tuple[float, float] = (0.08, 1.0),
        *,
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        ignore_index: int = 255,
    ) -> None:
        if size < 1:
            raise ValueError(f'size must be at least 1, got {size}.')
        for name, (low, high) in (('scale', scale), ('ratio', ratio)):
            if not 0 < low <= high or (name == 'scale' and high > 1):
                raise ValueError(
                    f'{name} must be two positive numbers, the smaller first'
                    f'{" and none above 1" if name == "scale" else ""}, got '
                    f'{(low, high)}.'
                )
        self.size = size
        self.scale = scale
        self.ratio = ratio
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Crop and resize image and map.

        Raises:
            ValueError: If the map has no pixel of the class.
        """
        label = results['crop_label']
        mask = results['gt_seg_map'] == label
        if not mask.any():
            raise ValueError(
                f'{results.get("seg_map_path")} has no pixel of class {label}.'
            )
        y1, x1, y2, x2 = self._choose_part(mask)
        size = (self.size, self.size)
        kept = self._resize(mask[y1:y2, x1:x2])
        results['img'] = cv2.resize(results['img'][y1:y2, x1:x2], size)
        results['gt_seg_map'] = np.where(kept, label, self.ignore_index).astype(
            results['gt_seg_map'].dtype
        )
        results['img_shape'] = size
        return results

    def _resize(self, mask: np.ndarray) -> np.ndarray:
        size = (self.size, self.size)
        nearest = cv2.INTER_NEAREST
        return cv2.resize(mask.astype(np.uint8), size, interpolation=nearest) > 0

    def _choose_part(self, mask: np.ndarray) -> tuple[int, int, int, int]:
        """Draw a part that shows the class, as y1, x1, y2, x2."""
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        top, left = int(ys[0]), int(xs[0])
        height, width = int(ys[-1]) + 1 - top, int(xs[-1]) + 1 - left
        for _ in range(ATTEMPTS):
            area = height * width * random.uniform(*self.scale)
            ratio = math.exp(random.uniform(*map(math.log, self.ratio)))
            h, w = round((area / ratio) ** 0.5), round((area * ratio) ** 0.5)
            if not (0 < h <= height and 0 < w <= width):
                continue
            y = top + random.randrange(height - h + 1)
            x = left + random.randrange(width - w + 1)
            if self._resize(mask[y : y + h, x : x + w]).any():
                return y, x, y + h, x + w
        # Thin or scattered pixels. A window no larger than the result, around one of
        # them, is not shrunk, so the pixel stays.
        index = random.randrange(np.count_nonzero(mask))
        y, x = (int(axis[index]) for axis in np.nonzero(mask))
        h, w = min(height, self.size), min(width, self.size)
        y = min(max(y - h // 2, top), top + height - h)
        x = min(max(x - w // 2, left), left + width - w)
        return y, x, y + h, x + w
