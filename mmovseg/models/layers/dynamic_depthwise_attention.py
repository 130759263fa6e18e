"""Dynamic depthwise attention between kernels and region features."""

from __future__ import annotations

from torch import Tensor, nn

from ..ops import convolve_channels, layer_norm_float32


class DynamicDepthwiseAttention(nn.Module):
    """Convolve each query's feature along its channels with taps made by the query.

    Args:
        channels: Width C.
        kernel_size: Number of taps, odd.

    Source: EOV-Seg, equation 2.
    """

    def __init__(self, channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.taps = nn.Linear(channels, kernel_size)
        self.norm = nn.LayerNorm(channels)

    def forward(self, queries: Tensor, features: Tensor) -> Tensor:
        """Mix features by queries, both ``[B, N, C]``, to ``[B, N, C]``."""
        mixed = convolve_channels(features, self.taps(queries))
        return layer_norm_float32(mixed, self.norm).to(queries.dtype)
