"""Region embeddings by separable dynamic interaction."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor

from mmovseg.registry import MODELS

from ..layers import (
    SeparableDynamicInteraction,
    check_spatial_channels,
    embedding_mlp,
    init_linear,
    initial_logit_scale,
    pool_projection,
)
from ..ops import mask_pool


@MODELS.register_module()
class SDIHead(BaseModule):
    """Embed each mask from image features, refined by spatial ones.

    Args:
        channels: Width C of image features and object kernels.
        spatial_channels: Channels of the spatial features.
        embed_channels: Width D of the text embeddings.
        num_queries: Number N of masks, that of the decoder.
        init_cfg: MMEngine's initialisation config.

    Attributes:
        logit_scale: Learned log of the cosine's factor.

    Raises:
        ValueError: If there are no spatial features.

    Source: EOV-Seg, table 4 and appendix D; see
    :class:`~mmovseg.models.layers.SeparableDynamicInteraction` for what is a reading.
    """

    def __init__(
        self,
        channels: int,
        spatial_channels: int | None,
        *,
        embed_channels: int,
        num_queries: int,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_spatial_channels(spatial_channels, 'SDIHead')
        self.mask_proj = pool_projection(channels, channels)
        self.spatial_proj = pool_projection(spatial_channels, channels)
        self.interaction = SeparableDynamicInteraction(channels, num_queries)
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

        Raises:
            ValueError: If N is not ``num_queries``.
        """
        mask = self.mask_proj(mask_pool(pixels, mask_logits))
        spatial = self.spatial_proj(mask_pool(spatial, mask_logits))
        return self.embed(self.interaction(mask, spatial) + kernels)
