"""Masks at another size."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from .dispatch import in_graph


def resize_masks(mask_logits: Tensor, size: Sequence[int]) -> Tensor:
    """Resize mask logits bilinearly (corners not aligned) where the size differs.

    Args:
        mask_logits: ``[B, N, h, w]``.
        size: Height and width wanted.

    Returns:
        ``[B, N, *size]``.

    Example:
        >>> import torch
        >>> resize_masks(torch.zeros(1, 5, 4, 4), (8, 6)).shape
        torch.Size([1, 5, 8, 6])
    """
    if has_size(mask_logits, size):
        return mask_logits
    return F.interpolate(mask_logits, size=size, mode='bilinear', align_corners=False)


def soft_masks(mask_logits: Tensor, size: Sequence[int]) -> Tensor:
    """Return mask probabilities at the size of a map, resized after the sigmoid.

    Args:
        mask_logits: ``[B, N, h, w]``.
        size: Height and width wanted.

    Returns:
        ``[B, N, *size]`` in [0, 1].

    Example:
        >>> import torch
        >>> soft_masks(torch.zeros(1, 1, 1, 1), (1, 2)).tolist()
        [[[[0.5, 0.5]]]]
    """
    return resize_masks(mask_logits.sigmoid(), size)


def has_size(x: Tensor, size: Sequence[int]) -> bool:
    """Whether a map has a size; in a graph, whether it has for all inputs.

    Example:
        >>> import torch
        >>> has_size(torch.zeros(1, 5, 8, 6), (8, 6))
        True
    """
    if in_graph():
        from torch.fx.experimental.symbolic_shapes import statically_known_true

        pairs = zip(x.shape[-2:], size, strict=True)
        return all(statically_known_true(a == b) for a, b in pairs)
    return tuple(x.shape[-2:]) == tuple(size)
