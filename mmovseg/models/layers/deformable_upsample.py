"""One step of the lite aggregator's top-down path."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..ops import at_least_float32, conv_norm, deform_conv_norm


class DeformableUpsample(nn.Module):
    """Modulated deformable 3x3 convolution, then a transposed one of stride 2.

    Args:
        in_channels: Channels of the coarse map.
        out_channels: Channels of the result.

    Source: EOV-Seg, lite aggregator (Dai et al. 2017); layout from its code.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        # 18 offsets (dy, dx per kernel point) and 9 modulation logits.
        self.offset = nn.Conv2d(in_channels, 27, 3, padding=1)
        nn.init.zeros_(self.offset.bias)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.upsample = nn.ConvTranspose2d(
            out_channels, out_channels, 4, stride=2, padding=1, bias=False
        )
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to ``[B, C', 2h, 2w]``."""
        offset, mask = at_least_float32(self.offset(x)).split((18, 9), dim=1)
        x = deform_conv_norm(x, offset, mask.sigmoid(), self.weight, self.norm1)
        return conv_norm(x.relu_(), self.upsample, self.norm2).relu_()
