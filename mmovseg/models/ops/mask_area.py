"""Pixels of hard masks."""

from __future__ import annotations

import torch
from torch import Tensor

from .dispatch import takes_fast


def mask_area(masks: Tensor) -> Tensor:
    """Count the pixels where a probability is at least a half.

    Args:
        masks: float32 or wider, ``[N, H, W]``, with W below 2**24.

    Returns:
        int64, ``[N]``.

    Example:
        >>> import torch
        >>> mask_area(torch.tensor([[[0.2, 0.5], [0.9, 0.4]]])).tolist()
        [2]
    """
    if takes_fast(masks):
        return _count_floats(masks)
    return (masks >= 0.5).sum((1, 2))


def _count_floats(masks: Tensor) -> Tensor:
    """Count as floats, exactly in rows: comparisons are slow to become bool."""
    halves = torch.ge(masks, 0.5, out=torch.empty_like(masks))
    return halves.sum(-1).sum(-1, dtype=torch.float64).long()
