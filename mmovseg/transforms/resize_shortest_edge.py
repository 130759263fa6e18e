"""Resize by the shorter side."""

from __future__ import annotations

from collections.abc import Sequence

from ..registry import TRANSFORMS
from .base_transform import BaseTransform
from .resize import Resize


@TRANSFORMS.register_module()
class ResizeShortestEdge(BaseTransform):
    """Bring the shorter side to a length, unless the longer one gets too long.

    As ``mmseg.ResizeShortestEdge``; see :class:`Resize` for what is resized and set.

    Args:
        scale: Of the shorter side, in pixels; of several the smallest counts.
        max_size: Largest length of the longer side, in pixels.
    """

    def __init__(self, scale: int | Sequence[int], max_size: int) -> None:
        self.scale = scale
        self.max_size = max_size
        self._resize = Resize(1, keep_ratio=True)

    def transform(self, results: dict) -> dict:
        """Resize the image and the label map; see :meth:`Resize.transform`."""
        height, width = results['img'].shape[:2]
        shortest = float(self.scale if isinstance(self.scale, int) else min(self.scale))
        scale = shortest / min(height, width)
        if height < width:
            new_height, new_width = shortest, scale * width
        else:
            new_height, new_width = scale * height, shortest
        if max(new_height, new_width) > self.max_size:
            scale = self.max_size / max(new_height, new_width)
            new_height, new_width = new_height * scale, new_width * scale
        size = (int(new_width + 0.5), int(new_height + 0.5))
        # Rounded twice, as mmseg does.
        return self._resize.resize(results, size)
