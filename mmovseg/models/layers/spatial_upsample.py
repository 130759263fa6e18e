"""The trainable way of the spatial features to stride 4."""

from __future__ import annotations

from torch import Tensor, nn

from ..ops import MapToPool, upsample_to_pool
from .channel_layer_norm import ChannelLayerNorm


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
        layers = [
            layer.normalize if isinstance(layer, ChannelLayerNorm) else layer
            for layer in self
        ]
        return upsample_to_pool(x, self, layers)
