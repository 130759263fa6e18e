"""Convolution along the channels, with a kernel for each query."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .dispatch import takes_fast
from .precision import at_least_float32, without_autocast


def convolve_channels(features: Tensor, kernel_weights: Tensor) -> Tensor:
    """Convolve each query's feature along its channels, padded with zeros.

    Args:
        features: ``[B, N, C]``.
        kernel_weights: Of each query, ``[B, N, T]``, T odd.

    Returns:
        At least float32, as region sums leave the range of half precision, ``[B, N,
        C]``.

    Example:
        >>> import torch
        >>> feature = torch.tensor([[[1.0, 2, 3]]])
        >>> convolve_channels(feature, torch.tensor([[[0.0, 1, 10]]])).tolist()
        [[[21.0, 32.0, 3.0]]]
    """
    features = at_least_float32(features)
    if takes_fast(features):
        return _convolve_groups(features, kernel_weights)
    channels, length = features.shape[-1], kernel_weights.shape[-1]
    padded = F.pad(features, (length // 2, length // 2))
    parts = [
        kernel_weights[..., i : i + 1] * padded[..., i : i + channels]
        for i in range(length)
    ]
    return torch.stack(parts).sum(0)


def _convolve_groups(features: Tensor, kernel_weights: Tensor) -> Tensor:
    """Do one convolution for the whole batch, in which every query is a group.

    Not in a graph: ONNX wants the number of groups to be a constant.
    """
    batch, num_queries, channels = features.shape
    with without_autocast(features.device):
        mixed = F.conv1d(
            features.reshape(1, -1, channels),
            kernel_weights.flatten(0, 1).unsqueeze(1).to(features.dtype),
            padding=kernel_weights.shape[-1] // 2,
            groups=batch * num_queries,
        )
    return mixed.reshape(batch, num_queries, channels)
