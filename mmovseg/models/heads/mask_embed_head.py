"""Region embeddings from mask features alone."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor

from mmovseg.registry import MODELS

from ..layers import embedding_mlp, init_linear, initial_logit_scale, pool_projection
from ..ops import mask_pool


@MODELS.register_module()
class MaskEmbedHead(BaseModule):
    """Embed each mask from mask features, in CLIP's text space.

    For models without a spatial branch, and for those whose decoder has fused it into
    the mask features.

    Args:
        channels: Width C of mask features and object kernels.
        spatial_channels: None; there are no spatial features left to embed.
        embed_channels: Width D of the text embeddings.
        init_cfg: MMEngine's initialization config.

    Attributes:
        logit_scale: Learned log of the cosine's factor.

    Raises:
        ValueError: If there are spatial features, which would be lost.

    Example:
        >>> import torch
        >>> head = MaskEmbedHead(8, embed_channels=16)
        >>> mask_logits, kernels = torch.rand(1, 5, 4, 4), torch.rand(1, 5, 8)
        >>> head(torch.rand(1, 8, 4, 4), None, mask_logits, kernels).shape
        torch.Size([1, 5, 16])

    Source: EOV-Seg, table 4, fusion "None" and "EAF".
    """

    def __init__(
        self,
        channels: int,
        spatial_channels: int | None = None,
        *,
        embed_channels: int,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if spatial_channels is not None:
            raise ValueError(
                'MaskEmbedHead takes no spatial features: give the model '
                'spatial_backbone=None, or an EarlyFusionDecoder '
                '(projects/eovseg_ablations).'
            )
        self.mask_proj = pool_projection(channels, channels)
        self.embed = embedding_mlp(channels, embed_channels)
        self.logit_scale = initial_logit_scale()
        self.apply(init_linear)

    def forward(
        self,
        mask_features: Tensor,
        spatial: None,
        mask_logits: Tensor,
        kernels: Tensor,
    ) -> Tensor:
        """Embed regions.

        Args:
            mask_features: ``[B, C, h, w]``.
            spatial: Not used; the heads of a decoder are called alike.
            mask_logits: ``[B, N, h, w]``.
            kernels: Object kernels, ``[B, N, C]``.

        Returns:
            Region embeddings, not normalized, ``[B, N, D]``.
        """
        mask_embeds = self.mask_proj(mask_pool(mask_features, mask_logits))
        return self.embed(mask_embeds + kernels)
