"""The trainable way of the spatial features to stride 4."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import MapToPool, at_least_float32, to_autocast
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
        return _UpsampledMap(x, list(self))


class _UpsampledMap(MapToPool):
    """The upsampled map, of which only a part exists at a time.

    A position becomes a block of others and no other position has a share in it, so
    rows of channels go through all layers without ever being a map.

    Args:
        x: ``[B, S, h, w]``.
        layers: Those of :class:`SpatialUpsample`. Transposed convolutions have kernels
            as wide as their stride of 2: a position becomes four by a matrix product.
    """

    def __init__(self, x: Tensor, layers: list[nn.Module]) -> None:
        self.x, self.layers = x, layers
        self.steps = sum(isinstance(y, nn.ConvTranspose2d) for y in layers)
        self.size = (x.shape[-2] << self.steps, x.shape[-1] << self.steps)
        self.dtype = x.dtype

    def mask_sum(self, masks: Tensor) -> Tensor:
        """Sum the map inside masks, bool ``[B, N, *size]``, to ``[B, N, S]``."""
        batch, channels = self.x.shape[:2]
        rows = self.x.flatten(2).transpose(1, 2).contiguous()  # [B, h * w, S]
        masks = self._in_blocks(masks)
        layers = [_for_rows(layer) for layer in self.layers]
        block = 4**self.steps
        step = max(1, CHUNK // (block * channels))
        total = torch.zeros((), device=rows.device)
        for some, inside in zip(
            rows.split(step, 1), masks.split(block * step, 2), strict=True
        ):
            fine = some
            for layer in layers:
                fine = layer(fine).view(batch, -1, channels)
            with torch.autocast(rows.device.type, enabled=False):
                fine = at_least_float32(fine)
                total = total + inside.to(fine.dtype) @ fine
        return total

    def _in_blocks(self, masks: Tensor) -> Tensor:
        """Put the positions that come from one together, ``[B, N, h * w * block]``."""
        height, width = self.x.shape[-2:]
        twos = [2] * self.steps
        masks = masks.reshape(*masks.shape[:2], height, *twos, width, *twos)
        # h, w, then row and column of every step, as the products order them.
        axes = [2 + i for i in range(self.steps + 1)]
        pairs = [axis for i in axes for axis in (i, i + self.steps + 1)]
        return masks.permute(0, 1, *pairs).flatten(2)


def _for_rows(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return what a layer does to rows of channels, ``[B, p, S]``."""
    if isinstance(layer, nn.ConvTranspose2d):
        weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)  # [4 * S, S]
        weight, bias = to_autocast(weight), to_autocast(layer.bias.repeat(4))
        return lambda x: F.linear(x, weight, bias)
    if isinstance(layer, ChannelLayerNorm):
        return layer.normalise
    return layer
