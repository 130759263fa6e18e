"""One step of the lite aggregator's top-down path."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d


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
        # Contiguous: some deformable kernels misread channels-last tensors silently.
        # Float: none takes bfloat16, and half precision moves the sampling points.
        dtype = x.dtype
        x = x.contiguous()
        offset, mask = self.offset(x).float().split((18, 9), dim=1)
        x = deform_conv2d(
            x.float(),
            offset.contiguous(),
            self.weight.float(),
            padding=1,
            mask=mask.sigmoid().contiguous(),
        )
        x = self.norm1(x.to(dtype)).relu()
        return self.norm2(self.upsample(x)).relu()
