"""Modulated deformable 3x3 convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from .conv_norm import fold_norm
from .dispatch import takes_fast
from .precision import at_least_float32


def deform_conv(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Convolve samples between the positions, each scaled by its modulation.

    Args:
        x: float32 or wider, ``[B, C, h, w]``.
        offset: dy and dx per kernel point, ``[B, 18, h, w]``.
        mask: Modulation, ``[B, 9, h, w]``.
        weight: ``[C', C, 3, 3]``.
        bias: ``[C']``.

    Returns:
        ``[B, C', h, w]``.
    """
    if takes_fast(x, on='cpu'):
        return _sample_products(x, offset, mask, weight, bias)
    # Contiguous: some kernels misread other layouts silently.
    x, offset, mask = x.contiguous(), offset.contiguous(), mask.contiguous()
    return deform_conv2d(x, offset, weight, bias, padding=1, mask=mask)


def deform_conv_norm(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, norm: nn.Module
) -> Tensor:
    """Run :func:`deform_conv` in at least float32, then normalize.

    No deformable kernel takes bfloat16, and half precision moves the sampling points.

    Args:
        x: ``[B, C, h, w]``, of any floating type.
        offset: See :func:`deform_conv`.
        mask: See :func:`deform_conv`.
        weight: ``[C', C, 3, 3]``, of any floating type.
        norm: A batch norm over C' channels.

    Returns:
        ``[B, C', h, w]``, of the type of ``x``.
    """
    dtype = x.dtype
    x, weight = at_least_float32(x), at_least_float32(weight)
    if takes_fast(x, with_gradients=False, norm=norm):
        weight, bias = map(at_least_float32, fold_norm(weight, norm))
        return deform_conv(x, offset, mask, weight, bias).to(dtype)
    return norm(deform_conv(x, offset, mask, weight).to(dtype))


def _sample_products(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Take a position as a sum of 36 weighted rows of products.

    torchvision's operator finds the four neighbors and their weights anew for every
    channel, and its gradient runs on one thread. Here the products come first, so that
    a sample is a weighted sum of their rows: there are fewer channels to sample, and
    the nine samples of a position are never kept.
    """
    batch, channels, height, width = x.shape
    kernels = weight.permute(2, 3, 0, 1).flatten(0, 2)  # [9 * C', C]
    rows = x.permute(0, 2, 3, 1).reshape(-1, channels)
    table = at_least_float32(F.linear(rows, kernels))
    index, share = _neighbors(offset, mask)  # [B * h * w, 36]
    out = F.embedding_bag(
        index, table.view(-1, len(weight)), mode='sum', per_sample_weights=share
    )
    if bias is not None:
        out = out + bias
    return out.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _neighbors(offset: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Find the positions around every sample, and their shares in it.

    Args:
        offset: ``[B, 18, h, w]``.
        mask: ``[B, 9, h, w]``.

    Returns:
        Flat indices into the maps of the batch with the nine kernel points last,
        int64, and shares, zero outside the map; both ``[B * h * w, 36]``.
    """
    batch, _, height, width = offset.shape
    device = offset.device
    offset = offset.view(batch, 9, 2, height, width).permute(2, 0, 3, 4, 1)
    point = torch.arange(9, device=device)
    row = torch.arange(height, device=device).view(-1, 1, 1) + point // 3 - 1
    column = torch.arange(width, device=device).view(-1, 1) + point % 3 - 1
    image = torch.arange(batch, device=device).view(-1, 1, 1, 1) * (height * width)
    axes = []
    for position, size in ((offset[0] + row, height), (offset[1] + column, width)):
        low = position.floor()
        share = position - low
        sides = []
        for place, weight in ((low, 1 - share), (low + 1, share)):
            weight = weight * ((place >= 0) & (place < size))
            sides.append((place.clamp(0, size - 1).long(), weight))
        axes.append(sides)
    mask = mask.permute(0, 2, 3, 1)
    pairs = [(y, x) for y in axes[0] for x in axes[1]]
    index = torch.stack([image + y[0] * width + x[0] for y, x in pairs], -1)
    share = torch.stack([mask * y[1] * x[1] for y, x in pairs], -1)
    index = index * 9 + point.view(-1, 1)
    return index.flatten(0, 2).flatten(1), share.flatten(0, 2).flatten(1)
