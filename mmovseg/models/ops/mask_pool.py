"""Sums and means of features inside hard masks."""

from __future__ import annotations

import torch
from torch import Tensor

from .precision import at_least_float32, without_autocast
from .resize_masks import resize_masks


class MapToPool:
    """Stands in :func:`mask_pool` for a map that is never in memory as a whole.

    Attributes:
        size: Height and width of the map.
        dtype: Of the map.
    """

    size: tuple[int, int]
    dtype: torch.dtype

    def mask_sum(self, masks: Tensor) -> Tensor:
        """Do what :func:`mask_sum` does."""
        raise NotImplementedError


def mask_sum(features: Tensor, masks: Tensor) -> Tensor:
    """Sum features inside each mask, in at least float32, also under autocast.

    A map has tens of thousands of positions: half precision would overflow.

    Args:
        features: ``[B, C, H, W]``.
        masks: bool, ``[B, N, H, W]``.

    Returns:
        float32, ``[B, N, C]``.

    Example:
        >>> import torch
        >>> features = torch.arange(4.0).view(1, 1, 2, 2)
        >>> mask_sum(features, features > 1).item()
        5.0
    """
    with without_autocast(features.device):
        features = at_least_float32(features)
        return torch.einsum('bnhw,bchw->bnc', masks.to(features.dtype), features)


def mask_pool(features: Tensor | MapToPool, mask_logits: Tensor) -> Tensor:
    """Average features inside each hard mask; no gradient passes through the mask.

    Args:
        features: ``[B, C, H, W]``, or what stands for it.
        mask_logits: ``[B, N, h, w]``, resized to the features where they differ.

    Returns:
        ``[B, N, C]``; zeros for a mask without a positive pixel.

    Example:
        >>> import torch
        >>> features = torch.arange(4.0).view(1, 1, 2, 2)
        >>> mask_pool(features, mask_logits=features - 1).item()
        2.5

    Source: EOV-Seg, lightweight decoder; threshold and epsilon from its code.
    """
    if isinstance(features, MapToPool):
        masks = resize_masks(mask_logits.detach(), features.size) > 0
        total = features.mask_sum(masks)
    else:
        masks = resize_masks(mask_logits.detach(), features.shape[-2:]) > 0
        total = mask_sum(features, masks)
    # Clamped: an empty mask sums to zero whatever it is divided by.
    area = masks.count_nonzero((-2, -1)).clamp(min=1).unsqueeze(-1)
    return (total / area).to(features.dtype)
