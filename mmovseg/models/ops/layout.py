"""The order of a map's values in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from .dispatch import takes_fast


def to_channels_last(x: Tensor) -> Tensor:
    """Lay a map ``[B, C, H, W]`` out with the channels of a position side by side.

    The values are the same. Convolutions on a CPU are faster so, in half precision
    several times. Elsewhere it has not been measured and does nothing. A compiler
    chooses layouts itself, and its graphs should not depend on strides.

    Example:
        >>> import torch
        >>> x = torch.rand(1, 8, 2, 3)
        >>> torch.equal(to_channels_last(x), x)
        True
    """
    if takes_fast(x, on='cpu'):
        return x.to(memory_format=torch.channels_last)
    return x


def keep_layout(x: Tensor) -> Tensor:
    """Go on with a map in whatever layout it was computed in, without a copy."""
    if takes_fast(x):
        return x
    return x.contiguous()
