"""One step of the lite aggregator's top-down path."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from ..ops import at_least_float32
from .folding import fold_norm, is_inference


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
        # Float: no deformable kernel takes bfloat16, and half precision moves the
        # sampling points.
        dtype = x.dtype
        offset, mask = at_least_float32(self.offset(x)).split((18, 9), dim=1)
        mask = mask.sigmoid()
        if is_inference(self):
            weight, bias = map(
                at_least_float32, fold_norm(at_least_float32(self.weight), self.norm1)
            )
            x = (
                deform(at_least_float32(x), offset, mask, weight, bias)
                .relu_()
                .to(dtype)
            )
            weight, bias = fold_norm(self.upsample.weight, self.norm2, transposed=True)
            return F.conv_transpose2d(x, weight, bias, stride=2, padding=1).relu_()
        x = deform(at_least_float32(x), offset, mask, at_least_float32(self.weight))
        x = self.norm1(x.to(dtype)).relu()
        return self.norm2(self.upsample(x)).relu()


def deform(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Run a modulated deformable 3x3 convolution.

    On the CPU torchvision's operator finds the four neighbours and their weights anew
    for every channel, and its gradient runs on one thread; here a position is a sum of
    36 weighted rows of products. In graphs it stays one operator.

    Args:
        x: float32 or wider, ``[B, C, h, w]``.
        offset: dy and dx per kernel point, ``[B, 18, h, w]``.
        mask: Modulation, ``[B, 9, h, w]``.
        weight: ``[C', C, 3, 3]``.
        bias: ``[C']``.

    Returns:
        ``[B, C', h, w]``.
    """
    if x.is_cuda or torch.compiler.is_compiling():
        # Contiguous: some kernels misread other layouts silently.
        x, offset, mask = x.contiguous(), offset.contiguous(), mask.contiguous()
        return deform_conv2d(x, offset, weight, bias, padding=1, mask=mask)
    batch, channels, height, width = x.shape
    # The products come first, so that a sample is a weighted sum of their rows: there
    # are fewer channels to sample, and the nine samples of a position are never kept.
    taps = weight.permute(2, 3, 0, 1).flatten(0, 2)  # [9 * C', C]
    table = at_least_float32(
        F.linear(x.permute(0, 2, 3, 1).reshape(-1, channels), taps)
    )
    index, share = _neighbours(offset, mask)  # [B * h * w, 36]
    out = F.embedding_bag(
        index, table.view(-1, len(weight)), mode='sum', per_sample_weights=share
    )
    if bias is not None:
        out = out + bias
    return out.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _neighbours(offset: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Find the positions around every sample, and their shares in it.

    Args:
        offset: ``[B, 18, h, w]``.
        mask: ``[B, 9, h, w]``.

    Returns:
        Flat indices into the maps of the batch with the nine kernel points last,
        int64, and shares, zero outside the map; both ``[B * h * w, 36]``.
    """
    batch, _, height, width = offset.shape
    device = offset.device
    offset = offset.view(batch, 9, 2, height, width).permute(2, 0, 3, 4, 1)
    point = torch.arange(9, device=device)
    row = torch.arange(height, device=device).view(-1, 1, 1) + point // 3 - 1
    column = torch.arange(width, device=device).view(-1, 1) + point % 3 - 1
    image = torch.arange(batch, device=device).view(-1, 1, 1, 1) * (height * width)
    axes = []
    for position, size in ((offset[0] + row, height), (offset[1] + column, width)):
        low = position.floor()
        share = position - low
        sides = []
        for place, weight in ((low, 1 - share), (low + 1, share)):
            weight = weight * ((place >= 0) & (place < size))
            sides.append((place.clamp(0, size - 1).long(), weight))
        axes.append(sides)
    mask = mask.permute(0, 2, 3, 1)
    pairs = [(y, x) for y in axes[0] for x in axes[1]]
    index = torch.stack([image + y[0] * width + x[0] for y, x in pairs], -1)
    share = torch.stack([mask * y[1] * x[1] for y, x in pairs], -1)
    index = index * 9 + point.view(-1, 1)
    return index.flatten(0, 2).flatten(1), share.flatten(0, 2).flatten(1)
