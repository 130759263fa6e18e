"""Pooling from an upsampled map that is never made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dispatch import takes_fast
from .mask_pool import MapToPool
from .precision import at_least_float32, to_autocast, without_autocast

CHUNK = 2**21  # values of the upsampled map made at once
Layer = Callable[[Tensor], Tensor]


def upsample_to_pool(
    x: Tensor, upsample: nn.Module, layers: Sequence[Layer], *, once: bool = True
) -> Tensor | MapToPool:
    """Upsample a map for :func:`mask_pool`, which needs no more of it than sums.

    Args:
        x: ``[B, S, h, w]``.
        upsample: From this to ``[B, S, H, W]``.
        layers: The same in steps: transposed convolutions with kernels as wide as
            their stride of 2, and what treats each position of ``[..., S]`` alone.
        once: It is pooled by one set of masks. Otherwise, or for gradients, it is kept.

    Returns:
        The map, or what stands for it there.
    """
    if layers:
        if once and takes_fast(x):
            return _UpsampledMap(x, layers)
        if not once and takes_fast(x, on='cpu'):
            return _UpsampledRows(x, layers)
    return upsample(x)


class _UpsampledMap(MapToPool):
    """The upsampled map, of which only a part exists at a time.

    A position becomes a block of others and no other position has a share in it, so
    rows of channels go through all layers without ever being a map. Not in a graph:
    the number of parts depends on the size.
    """

    def __init__(self, x: Tensor, layers: Sequence[Layer]) -> None:
        self.x, self.layers = x, layers
        self.steps = sum(isinstance(y, nn.ConvTranspose2d) for y in layers)
        self.size = (x.shape[-2] << self.steps, x.shape[-1] << self.steps)
        self.dtype = x.dtype

    def mask_sum(self, masks: Tensor) -> Tensor:
        """Sum the map inside masks, bool ``[B, N, *size]``, to ``[B, N, S]``."""
        rows, layers = self._prepare()
        masks = self._in_blocks(masks)
        block = 4**self.steps
        step = max(1, CHUNK // (block * self.x.shape[1]))
        total = torch.zeros((), device=rows.device)
        for some, inside in zip(
            rows.split(step, 1), masks.split(block * step, 2), strict=True
        ):
            fine = _run(layers, some)
            with without_autocast(rows.device):
                fine = at_least_float32(fine)
                total = total + inside.to(fine.dtype) @ fine
        return total

    def _prepare(self) -> tuple[Tensor, list[Layer]]:
        rows = self.x.flatten(2).transpose(1, 2).contiguous()  # [B, h * w, S]
        return rows, [_for_rows(layer) for layer in self.layers]

    def _in_blocks(self, masks: Tensor) -> Tensor:
        """Put the positions that come from one together, ``[B, N, h * w * block]``."""
        height, width = self.x.shape[-2:]
        twos = [2] * self.steps
        masks = masks.reshape(*masks.shape[:2], height, *twos, width, *twos)
        # h, w, then row and column of every step, as the products order them.
        axes = [2 + i for i in range(self.steps + 1)]
        pairs = [axis for i in axes for axis in (i, i + self.steps + 1)]
        return masks.permute(0, 1, *pairs).flatten(2)


class _UpsampledRows(_UpsampledMap):
    """The upsampled map as rows of channels, for several sets of masks and gradients.

    A gradient of sums has the channels of a position side by side, as these rows do.
    With maps of another layout the layers before would be many times slower.
    """

    def __init__(self, x: Tensor, layers: Sequence[Layer]) -> None:
        super().__init__(x, layers)
        rows, prepared = self._prepare()
        rows = _run(prepared, rows)
        self.dtype = rows.dtype
        self.rows = at_least_float32(rows)  # [B, H * W, S], once for all masks

    def mask_sum(self, masks: Tensor) -> Tensor:
        """Sum the map inside masks, bool ``[B, N, *size]``, to ``[B, N, S]``."""
        with without_autocast(self.rows.device):
            return self._in_blocks(masks).to(self.rows.dtype) @ self.rows


def _run(layers: Sequence[Layer], rows: Tensor) -> Tensor:
    """Take rows ``[B, p, S]`` through all layers, ``[B, 4 ** steps * p, S]``."""
    batch, _, channels = rows.shape
    for layer in layers:
        rows = layer(rows).view(batch, -1, channels)
    return rows


def _for_rows(layer: Layer) -> Layer:
    """Return what a layer does to rows of channels, ``[B, p, S]``."""
    if isinstance(layer, nn.ConvTranspose2d):
        # A position becomes four by a matrix product.
        weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)  # [4 * S, S]
        bias = None if layer.bias is None else to_autocast(layer.bias.repeat(4))
        weight = to_autocast(weight)
        return lambda x: F.linear(x, weight, bias)
    return layer
