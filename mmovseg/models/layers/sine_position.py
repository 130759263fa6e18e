"""Sine position embedding of DETR."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sine_position(
    size: tuple[int, int], channels: int, *, device: torch.device | str = 'cpu'
) -> Tensor:
    """Embed the positions of a map, ``y`` in the first half of the channels.

    Coordinates run from 1 and are divided by the length of the axis, so the last one
    is at a full period of the lowest frequency.

    Args:
        size: Height and width of the map.
        channels: C, a multiple of 4: half of them for each axis.
        device: Where to put the result.

    Returns:
        float32, ``[H * W, C]``, in raster order.

    Example:
        >>> sine_position((2, 3), channels=8).shape
        torch.Size([6, 8])

    Source: DETR (arXiv 2005.12872), as MaskFormer uses it.
    """
    half = channels // 2
    # Channels 2i and 2i + 1 share a frequency: sine and cosine.
    exponent = torch.arange(half, device=device).div(2, rounding_mode='floor')
    period = 10000.0 ** (2 * exponent / half)
    axes = []
    for length in size:
        place = torch.arange(1, length + 1, device=device, dtype=torch.float32)
        angle = place[:, None] / (length + 1e-6) * (2 * math.pi) / period  # [n, half]
        axes.append(
            torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], -1).flatten(1)
        )
    y = axes[0][:, None].expand(-1, size[1], -1)
    x = axes[1][None].expand(size[0], -1, -1)
    return torch.cat([y, x], -1).flatten(0, 1)
