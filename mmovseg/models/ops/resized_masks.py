"""Masks of a smaller map, without the masks of the whole map."""

from __future__ import annotations

from torch import Tensor

from .dispatch import takes_fast
from .make_masks import make_masks
from .resize_masks import resize_masks


def resized_masks(
    kernels: Tensor, mask_features: Tensor, size: tuple[int, int]
) -> Tensor:
    """Multiply kernels with features, then resize the masks.

    Args:
        kernels: ``[B, N, C]``.
        mask_features: ``[B, C, h, w]``.
        size: Height and width of the result.

    Returns:
        Mask logits, ``[B, N, *size]``.
    """
    if takes_fast(mask_features, in_graphs=True):
        # Both steps are linear: resized first, most products are not needed.
        return make_masks(kernels, resize_masks(mask_features, size))
    return resize_masks(make_masks(kernels, mask_features), size)
