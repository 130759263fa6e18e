"""Four backbone maps to one map of stride 4."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import conv_coordinates, to_channels_last
from .deformable_upsample import DeformableUpsample


class LiteAggregator(nn.Module):
    """Deformable feature pyramid, summed at stride 4, with coordinates appended.

    Args:
        in_channels: Channels of the maps, finest (stride 4) first.
        hidden_channels: Width A of the sum.
        out_channels: Channels of the result.

    Source: EOV-Seg, equation 1; shared bias and coordinates from its code.
    """

    def __init__(
        self, in_channels: tuple[int, ...], hidden_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        widths = [channels // 2 for channels in in_channels]
        self.laterals = nn.ModuleList(
            nn.Conv2d(channels, width, 1)
            for channels, width in zip(in_channels, widths, strict=True)
        )
        self.upsamples = nn.ModuleList(
            DeformableUpsample(coarse, fine) for fine, coarse in pairwise(widths)
        )
        self.projections = nn.ModuleList(
            nn.Conv2d(width, hidden_channels, 1, bias=False) for width in widths
        )
        self.bias = nn.Parameter(torch.zeros(1, hidden_channels, 1, 1))
        self.fuse = nn.Conv2d(hidden_channels, hidden_channels, 3, padding=1)
        self.out = nn.Conv2d(hidden_channels + 2, out_channels, 1)
        for parameter in self.parameters():
            # The reference's last word on initialisation: also for `bias` and for the
            # offsets, which therefore do not start at zero.
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Aggregate the maps.

        Args:
            features: ``[B, C_i, H_i, W_i]``, finest first, each half the size of the
                one before.

        Returns:
            ``[B, C, H_0, W_0]``.
        """
        return self.aggregate(self.top_down(features))

    def top_down(self, features: tuple[Tensor, ...]) -> list[Tensor]:
        """Run the top-down path.

        Args:
            features: See :meth:`forward`.

        Returns:
            ``[B, C_i // 2, H_i, W_i]``, coarsest first.
        """
        features = tuple(to_channels_last(x) for x in features)
        maps = [self.laterals[-1](features[-1])]
        for level in reversed(range(len(features) - 1)):
            lateral = self.laterals[level](features[level])
            maps.append(lateral + self.upsamples[level](maps[-1]))
        return maps

    def aggregate(self, maps: list[Tensor]) -> Tensor:
        """Sum the maps of :meth:`top_down` at stride 4, to ``[B, C, H_0, W_0]``."""
        size = maps[-1].shape[-2:]
        total = self._project(-1, maps[0], size)
        for level, x in zip(reversed(range(len(maps) - 1)), maps[1:], strict=True):
            total = total + self._project(level, x, size)
        return conv_coordinates(self.fuse(total + self.bias), self.out)

    def _project(self, level: int, x: Tensor, size: tuple[int, int]) -> Tensor:
        x = self.projections[level](x)
        if x.shape[-2:] == size:
            return x
        return F.interpolate(x, size=size, mode='bilinear', align_corners=False)
