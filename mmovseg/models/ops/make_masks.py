"""Masks as products of kernels and features."""

from __future__ import annotations

import torch
from torch import Tensor

from .dispatch import takes_fast


def make_masks(kernels: Tensor, mask_features: Tensor) -> Tensor:
    """Multiply the kernel of each query with the features of each position.

    Args:
        kernels: ``[B, N, C]``.
        mask_features: ``[B, C, h, w]``.

    Returns:
        Mask logits, ``[B, N, h, w]``.

    Example:
        >>> import torch
        >>> make_masks(torch.ones(1, 5, 8), torch.ones(1, 8, 2, 3)).shape
        torch.Size([1, 5, 2, 3])
    """
    if takes_fast(mask_features, on='cpu'):
        return _make_each(kernels, mask_features)
    return torch.einsum('bnc,bchw->bnhw', kernels, mask_features)


def _make_each(kernels: Tensor, mask_features: Tensor) -> Tensor:
    """Take one image after the other.

    Batched products of half precision copy what is not contiguous, at length.
    """
    pairs = zip(kernels, mask_features.flatten(2), strict=True)
    masks = torch.stack([a @ b for a, b in pairs])
    return masks.unflatten(2, mask_features.shape[-2:])
