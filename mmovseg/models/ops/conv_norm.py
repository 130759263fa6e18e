"""Convolution and batch norm."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .dispatch import takes_fast


def conv_norm(
    x: Tensor, conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.Module
) -> Tensor:
    """Convolve, then normalize.

    Args:
        x: ``[B, C, H, W]``.
        conv: Without bias and dilation; only a transposed one may have a stride.
        norm: A batch norm over the channels of the result.

    Returns:
        ``[B, C', H', W']``.
    """
    if takes_fast(x, with_gradients=False, norm=norm):
        return _conv_folded(x, conv, norm)
    return norm(conv(x))


def _conv_folded(x: Tensor, conv: Any, norm: nn.Module) -> Tensor:
    """Spare a pass over the map.

    Folding is cheap enough for every call: the weights are small against the maps, and
    nothing has to be kept in step with them.
    """
    if conv.transposed:
        weight, bias = fold_norm(conv.weight, norm, transposed=True)
        return F.conv_transpose2d(x, weight, bias, conv.stride, conv.padding)
    weight, bias = fold_norm(conv.weight, norm)
    return F.conv2d(x, weight, bias, padding=conv.padding, groups=conv.groups)


def fold_norm(
    weight: Tensor, norm: Any, *, transposed: bool = False
) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution with its batch norm of evaluation.

    Args:
        weight: Of a convolution without bias, ``[C', C, k, k]``.
        norm: The batch norm over the C' channels that follows.
        transposed: The convolution is transposed, its weight ``[C, C', k, k]``.

    Returns:
        The scaled weight, and the bias ``[C']``.
    """
    scale = (norm.running_var + norm.eps).rsqrt() * norm.weight
    bias = norm.bias - norm.running_mean * scale
    shape = (1, -1, 1, 1) if transposed else (-1, 1, 1, 1)
    return weight * scale.view(shape), bias
