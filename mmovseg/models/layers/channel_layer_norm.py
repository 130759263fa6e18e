"""Layer norm over the channels of a map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelLayerNorm(nn.Module):
    """Normalize each position of ``[B, C, H, W]`` over its channels.

    Not a subclass of ``nn.LayerNorm``: the recipe's weight decay skips norms by their
    class, and the reference decays this one.

    Args:
        channels: C.
        eps: Added to the variance.

    Source: EOV-Seg's code, spatial branch.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to the same shape."""
        return self.normalize(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()

    def normalize(self, x: Tensor) -> Tensor:
        """Do the same to ``[..., C]``."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
