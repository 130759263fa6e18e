"""Region embeddings from two experts."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor

from mmovseg.registry import MODELS

from ..layers import (
    TDEE,
    check_spatial_channels,
    embedding_mlp,
    init_linear,
    initial_logit_scale,
    pool_projection,
)
from ..ops import mask_pool


@MODELS.register_module()
class TDEEHead(BaseModule):
    """Embed each mask from image and spatial features, in CLIP's text space.

    Args:
        channels: Width C of image features and object kernels.
        spatial_channels: Channels of the spatial features.
        embed_channels: Width D of the text embeddings.
        init_cfg: MMEngine's initialisation config.

    Attributes:
        logit_scale: Learned log of the cosine's factor.

    Raises:
        ValueError: If there are no spatial features.

    Source: EOV-Seg, two-way dynamic embedding experts; the final MLP and the added
    object kernel from its code.
    """

    def __init__(
        self,
        channels: int,
        spatial_channels: int | None,
        *,
        embed_channels: int,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_spatial_channels(spatial_channels, 'TDEEHead')
        self.mask_proj = pool_projection(channels, channels)
        self.spatial_proj = pool_projection(spatial_channels, channels)
        self.tdee = TDEE(channels)
        self.embed = embedding_mlp(channels, embed_channels)
        self.logit_scale = initial_logit_scale()
        self.apply(init_linear)

    def forward(
        self, pixels: Tensor, spatial: Tensor, mask_logits: Tensor, kernels: Tensor
    ) -> Tensor:
        """Embed regions.

        Args:
            pixels: Image features, ``[B, C, h, w]``.
            spatial: Spatial features, ``[B, S, h, w]``.
            mask_logits: ``[B, N, h, w]``.
            kernels: Object kernels, ``[B, N, C]``.

        Returns:
            Region embeddings, not normalised, ``[B, N, D]``.
        """
        mask = self.mask_proj(mask_pool(pixels, mask_logits))
        spatial = self.spatial_proj(mask_pool(spatial, mask_logits))
        return self.embed(self.tdee(mask, spatial) + kernels)
