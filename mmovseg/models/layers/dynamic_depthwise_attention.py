"""Dynamic depthwise attention between kernels and region features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import at_least_float32, layer_norm_float32, without_autocast


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


def convolve_channels(features: Tensor, taps: Tensor) -> Tensor:
    """Convolve each query's feature along its channels, padded with zeros.

    Args:
        features: ``[B, N, C]``.
        taps: Of each query, ``[B, N, T]``, T odd.

    Returns:
        At least float32, ``[B, N, C]``.
    """
    batch, num_queries, channels = features.shape
    if torch.compiler.is_compiling():
        return _add_shifted(at_least_float32(features), taps)
    taps = taps.flatten(0, 1).unsqueeze(1)  # [B * N, 1, T]
    # One grouped convolution for the whole batch: every query is its own group.
    # In float32: region sums leave the range of half precision.
    with without_autocast(features.device):
        mixed = F.conv1d(
            at_least_float32(features).reshape(1, -1, channels),
            taps.to(torch.promote_types(features.dtype, torch.float32)),
            padding=taps.shape[-1] // 2,
            groups=batch * num_queries,
        )
    return mixed.reshape(batch, num_queries, channels)


def _add_shifted(features: Tensor, taps: Tensor) -> Tensor:
    """Do the same without groups, whose number ONNX wants to be a constant."""
    channels, num_taps = features.shape[-1], taps.shape[-1]
    padded = F.pad(features, (num_taps // 2, num_taps // 2))
    parts = [
        taps[..., i : i + 1] * padded[..., i : i + channels] for i in range(num_taps)
    ]
    return torch.stack(parts).sum(0)
