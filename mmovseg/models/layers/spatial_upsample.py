"""The trainable way of the spatial features to stride 4."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..functional import MapToPool, upcast
from .channel_layer_norm import ChannelLayerNorm

CHUNK = 2**21  # values of the upsampled map made at once


class SpatialUpsample(nn.Sequential):
    """Double a map up to three times by transposed convolutions.

    Args:
        channels: Channels S of the map, kept.
        stride: Of the map in pixels: 4, 8, 16 or 32.

    Raises:
        ValueError: If the stride is another one.

    Source: EOV-Seg, spatial awareness extractor; norm and activations from its code.
    """

    def __init__(self, channels: int, stride: int) -> None:
        steps = {4: 0, 8: 1, 16: 2, 32: 3}.get(stride)
        if steps is None:
            raise ValueError(
                f'spatial_stride must be 4, 8, 16 or 32, got {stride}: take a spatial '
                'backbone with such patches.'
            )
        layers: list[nn.Module] = []
        for step in range(steps):
            layers.append(nn.ConvTranspose2d(channels, channels, 2, stride=2))
            if step < steps - 1:
                layers.append(ChannelLayerNorm(channels))
            layers.append(nn.GELU())
        super().__init__(*layers)

    def for_pooling(self, x: Tensor) -> Tensor | MapToPool:
        """Prepare the result for ``mask_pool``, which needs no more of it than sums.

        Args:
            x: ``[B, S, h, w]``.

        Returns:
            What stands for ``self(x)`` there.
        """
        if not len(self) or torch.compiler.is_compiling():
            return self(x)  # graphs have no parts, whose number depends on the size
        for layer in list(self)[:-2]:
            x = layer(x)
        return _UpsampledMap(x, self[-2])


class _UpsampledMap(MapToPool):
    """``GELU(upsample(x))``, of which only a part exists at a time.

    Args:
        x: ``[B, S, h, w]``.
        upsample: Transposed convolution whose kernel is as wide as its stride of 2:
            every position becomes four by a matrix product.
    """

    def __init__(self, x: Tensor, upsample: nn.ConvTranspose2d) -> None:
        self.x, self.upsample = x, upsample
        self.size = (2 * x.shape[-2], 2 * x.shape[-1])
        self.dtype = x.dtype

    def mask_sum(self, masks: Tensor) -> Tensor:
        """Sum the map inside masks, bool ``[B, N, 2h, 2w]``, to ``[B, N, S]``."""
        batch, channels, height, width = self.x.shape
        weight = self.upsample.weight.permute(2, 3, 1, 0).flatten(0, 2)  # [4 * S, S]
        bias = self.upsample.bias.repeat(4)
        # The four positions that come from one stand together, as in the product.
        masks = masks.reshape(batch, -1, height, 2, width, 2)
        masks = masks.permute(0, 1, 2, 4, 3, 5).flatten(2)  # [B, N, h * w * 4]
        rows = self.x.flatten(2).transpose(1, 2)  # [B, h * w, S]
        step = max(1, CHUNK // (4 * channels))
        total = torch.zeros((), device=rows.device)
        for some, inside in zip(
            rows.split(step, 1), masks.split(4 * step, 2), strict=True
        ):
            fine = F.gelu(F.linear(some, weight, bias)).view(batch, -1, channels)
            with torch.autocast(rows.device.type, enabled=False):
                fine = upcast(fine)
                total = total + inside.to(fine.dtype) @ fine
        return total
