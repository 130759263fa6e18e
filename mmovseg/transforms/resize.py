"""Resize images and label maps, with the numbers of mmcv."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..registry import TRANSFORMS
from .base_transform import BaseTransform

INTERPOLATION = {
    'nearest': cv2.INTER_NEAREST,
    'bilinear': cv2.INTER_LINEAR,
    'bicubic': cv2.INTER_CUBIC,
    'area': cv2.INTER_AREA,
    'lanczos': cv2.INTER_LANCZOS4,
}
# What this transform would leave as it is, beside an image of another size.
INSTANCES = ('gt_bboxes', 'gt_masks', 'gt_keypoints')


@TRANSFORMS.register_module()
class Resize(BaseTransform):
    """Resize ``img``, and ``gt_seg_map`` to the nearest value, as ``mmcv.Resize`` does.

    Boxes, masks of instances and key points are refused: ``mmdet.Resize`` knows them.
    Sets ``img_shape``, ``scale``, ``scale_factor`` (of width and height) and
    ``keep_ratio``.

    Args:
        scale: Width and height in pixels; one number is both.
        scale_factor: Of width and height, or of both; used where there is no scale.
        keep_ratio: Take the largest size of the image's own proportions whose longer
            side is at most the larger number of the scale, the shorter one at most
            the smaller.
        interpolation: ``'nearest'``, ``'bilinear'``, ``'bicubic'``, ``'area'`` or
            ``'lanczos'``.

    Raises:
        ValueError: If there is neither ``scale`` nor ``scale_factor``, or no such
            interpolation.
    """

    def __init__(
        self,
        scale: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        *,
        keep_ratio: bool = False,
        interpolation: str = 'bilinear',
    ) -> None:
        if scale is None and scale_factor is None:
            raise ValueError('Resize needs scale or scale_factor.')
        if interpolation not in INTERPOLATION:
            raise ValueError(
                f'interpolation must be one of {tuple(INTERPOLATION)}, got '
                f'{interpolation!r}.'
            )
        self.scale = _pair(scale)
        self.scale_factor = _pair(scale_factor)
        self.keep_ratio = keep_ratio
        self.interpolation = interpolation

    def transform(self, results: dict) -> dict:
        """Resize the image and the label map.

        Raises:
            ValueError: If there are boxes, masks or key points.
        """
        # mmcv's and mmseg's transforms that hold this one set the scale.
        return self.resize(results, self.scale)

    def resize(self, results: dict, scale: tuple | None) -> dict:
        """Resize to a scale, whatever the transform's own is."""
        if found := [key for key in INSTANCES if results.get(key) is not None]:
            raise ValueError(
                f'Resize changes images and label maps, not {", ".join(found)}: take '
                "type='mmdet.Resize', or resize before annotations are loaded."
            )
        image = results['img']
        height, width = image.shape[:2]
        if not scale and self.scale_factor:
            scale = _times((width, height), self.scale_factor)
        if not scale:  # of those who set it later
            raise ValueError('scale of Resize is 0: give a size in pixels.')
        size = scale
        if self.keep_ratio:
            factor = min(
                max(scale) / max(height, width), min(scale) / min(height, width)
            )
            size = _times((width, height), (factor, factor))
        results['scale'] = scale
        results['img'] = cv2.resize(
            image, size, interpolation=INTERPOLATION[self.interpolation]
        )
        results['img_shape'] = results['img'].shape[:2]
        results['scale_factor'] = (size[0] / width, size[1] / height)
        results['keep_ratio'] = self.keep_ratio
        label_map = results.get('gt_seg_map')
        if label_map is not None:
            results['gt_seg_map'] = _resize_map(label_map, size)
        return results


def _pair(value: float | Sequence[float] | None) -> tuple | None:
    if isinstance(value, (int, float)):
        return (value, value) if value else None
    return None if value is None else tuple(value)


def _times(size: tuple[int, int], factor: tuple) -> tuple[int, int]:
    """Multiply width and height, and round."""
    return int(size[0] * factor[0] + 0.5), int(size[1] * factor[1] + 0.5)


def _resize_map(label_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(label_map, size, interpolation=cv2.INTER_NEAREST)
