"""Masks as products of kernels and features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .dispatch import takes_fast
from .precision import to_autocast


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
        kernels, mask_features = to_autocast(kernels), to_autocast(mask_features)
        own = takes_fast(mask_features, in_traces=False)
        make = _MakeEach.apply if own else _make_each
        return make(kernels, mask_features)
    return torch.einsum('bnc,bchw->bnhw', kernels, mask_features)


def _make_each(kernels: Tensor, mask_features: Tensor) -> Tensor:
    """Take one image after the other.

    Batched products of half precision copy what is not contiguous, at length.
    """
    pairs = zip(kernels, mask_features.flatten(2), strict=True)
    masks = torch.stack([a @ b for a, b in pairs])
    return masks.unflatten(2, mask_features.shape[-2:])


class _MakeEach(torch.autograd.Function):
    """Do what :func:`_make_each` does, with a gradient of fewer products.

    The loss compares masks of matched queries alone, so the gradients of the others are
    zeros, and need no products.
    """

    @staticmethod
    def forward(ctx: Any, kernels: Tensor, mask_features: Tensor) -> Tensor:
        ctx.save_for_backward(kernels, mask_features)
        return _make_each(kernels, mask_features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        kernels, mask_features = ctx.saved_tensors
        rows = mask_features.permute(0, 2, 3, 1).flatten(1, 2)  # [B, h * w, C]
        grad = grad.flatten(2)
        kernel_grads = torch.zeros_like(kernels)
        row_grads = torch.empty_like(rows, memory_format=torch.contiguous_format)
        for image, some in enumerate(grad):
            matched = some.any(1).nonzero().squeeze(1)
            some = some[matched]
            kernel_grads[image, matched] = some @ rows[image]
            torch.mm(some.T, kernels[image, matched], out=row_grads[image])
        # With the channels of a position side by side, as other gradients have them.
        height, width = mask_features.shape[-2:]
        row_grads = row_grads.unflatten(1, (height, width))
        return kernel_grads, row_grads.permute(0, 3, 1, 2)
