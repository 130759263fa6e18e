"""Convolution of a map that knows its coordinates."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dispatch import in_graph, takes_fast


def conv_coordinates(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Append x and y in [-1, 1] to the channels of a map, then convolve it.

    Args:
        x: ``[B, C, H, W]``.
        conv: A 1x1 convolution of C + 2 channels.

    Returns:
        ``[B, C', H, W]``.
    """
    columns, rows = _coordinates(x.shape[-1], x), _coordinates(x.shape[-2], x)
    if takes_fast(x, in_graphs=True):
        return _conv_by_axes(x, columns, rows, conv)
    batch, _, height, width = x.shape
    across = columns.expand(batch, 1, height, width)
    down = rows.view(-1, 1).expand(batch, 1, height, width)
    return conv(torch.cat([x, across, down], 1))


def _conv_by_axes(x: Tensor, columns: Tensor, rows: Tensor, conv: nn.Conv2d) -> Tensor:
    """Give the coordinates a product of their own, along one axis each.

    As two more channels they would make the other product slow.
    """
    weight, places = conv.weight.split((x.shape[1], 2), 1)
    x = F.conv2d(x, weight, conv.bias)
    across, down = places.flatten(1).to(x.dtype).unbind(1)  # [C'] each
    # With the channels of a position side by side, as they are in `x`.
    across = (columns.to(x.dtype).unsqueeze(1) * across).T.unsqueeze(1)  # [C', 1, W]
    down = (rows.to(x.dtype).unsqueeze(1) * down).T.unsqueeze(2)  # [C', H, 1]
    return x.add_(across).add_(down)


def _coordinates(length: int, like: Tensor) -> Tensor:
    """Return numbers from -1 to 1, end points included, ``[length]``."""
    # Half precision has no place for every number above 256, and its linspace is off.
    dtype = torch.promote_types(like.dtype, torch.float32)
    if in_graph():  # the length of a linspace is fixed in ONNX
        places = torch.arange(length, device=like.device, dtype=dtype)
        places = 2 * places / places[-1:] - 1
    else:
        places = torch.linspace(-1, 1, length, device=like.device, dtype=dtype)
    return places.to(like.dtype)
