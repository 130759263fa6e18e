"""Pixel decoder of MaskFormer without transformer."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class FPNPixelDecoder(nn.Module):
    """Feature pyramid from coarse to fine, of which the finest map is used.

    Args:
        in_channels: Channels of the backbone's maps, finest first.
        channels: C, of every convolution; a multiple of 32 (groups of the norms).

    Source: MaskFormer (arXiv 2107.06278).
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, channels, 1, bias=False), nn.GroupNorm(32, channels)
            )
            for width in in_channels[:-1]
        )
        # The coarsest map has no lateral: its output convolution reads it directly.
        widths = [channels] * len(self.laterals) + [in_channels[-1]]
        self.outputs = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, channels, 3, padding=1, bias=False),
                nn.GroupNorm(32, channels),
                nn.ReLU(inplace=True),
            )
            for width in widths
        )
        self.mask_features = nn.Conv2d(channels, channels, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
        nn.init.zeros_(self.mask_features.bias)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Merge the maps.

        Args:
            features: ``[B, C_i, H_i, W_i]``, finest first.

        Returns:
            Mask features of the finest map's size, ``[B, C, H_0, W_0]``.
        """
        x = self.outputs[-1](features[-1])
        for level in reversed(range(len(self.laterals))):
            lateral = self.laterals[level](features[level])
            x = lateral + F.interpolate(x, size=lateral.shape[-2:], mode='nearest')
            x = self.outputs[level](x)
        return self.mask_features(x)
