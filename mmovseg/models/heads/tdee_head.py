"""Region embeddings from two experts."""

from __future__ import annotations

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..layers import (
    check_spatial_channels,
    embedding_mlp,
    init_linear,
    initial_logit_scale,
    pool_projection,
)
from ..ops import MapToPool, mask_pool


@MODELS.register_module()
class TDEEHead(BaseModule):
    """Embed each mask from mask features and spatial ones, in CLIP's text space.

    Args:
        channels: Width C of mask features and object kernels.
        spatial_channels: Channels of the spatial features.
        embed_channels: Width D of the text embeddings.
        init_cfg: MMEngine's initialization config.

    Attributes:
        logit_scale: Learned log of the cosine's factor.

    Raises:
        ValueError: If there are no spatial features.

    Example:
        >>> import torch
        >>> head = TDEEHead(8, spatial_channels=12, embed_channels=16)
        >>> mask_features, spatial = torch.rand(1, 8, 4, 4), torch.rand(1, 12, 4, 4)
        >>> mask_logits, kernels = torch.rand(1, 5, 4, 4), torch.rand(1, 5, 8)
        >>> head(mask_features, spatial, mask_logits, kernels).shape
        torch.Size([1, 5, 16])

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
        spatial_channels = check_spatial_channels(spatial_channels, 'TDEEHead')
        self.mask_proj = pool_projection(channels, channels)
        self.spatial_proj = pool_projection(spatial_channels, channels)
        self.tdee = TDEE(channels)
        self.embed = embedding_mlp(channels, embed_channels)
        self.logit_scale = initial_logit_scale()
        self.apply(init_linear)

    def forward(
        self,
        mask_features: Tensor,
        spatial: Tensor | MapToPool,
        mask_logits: Tensor,
        kernels: Tensor,
    ) -> Tensor:
        """Embed regions.

        Args:
            mask_features: ``[B, C, h, w]``.
            spatial: Spatial features, ``[B, S, h, w]``, or what stands for them.
            mask_logits: ``[B, N, h, w]``.
            kernels: Object kernels, ``[B, N, C]``.

        Returns:
            Region embeddings, not normalized, ``[B, N, D]``.
        """
        # Average both kinds of features inside each mask, and project the averages.
        mask_embeds = self.mask_proj(mask_pool(mask_features, mask_logits))
        spatial_embeds = self.spatial_proj(mask_pool(spatial, mask_logits))
        # The two experts become one embedding.
        fused = self.tdee(mask_embeds, spatial_embeds)  # [B, N, C]
        # It and the object kernel go to the space of the names.
        return self.embed(fused + kernels)


class TDEE(nn.Module):
    """Weigh a mask embedding and a spatial embedding by a shared router.

    Args:
        channels: Width C of both embeddings.

    Source: EOV-Seg, equations 5 to 10.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mask_params = nn.Linear(channels, 2 * channels)
        self.spatial_params = nn.Linear(channels, 2 * channels)
        self.mask_router = nn.Linear(channels, channels)
        self.spatial_router = nn.Linear(channels, channels)
        self.mask_router_norm = nn.LayerNorm(channels)
        self.spatial_router_norm = nn.LayerNorm(channels)
        self.mask_norm = nn.LayerNorm(channels)
        self.spatial_norm = nn.LayerNorm(channels)
        self.out = nn.Linear(channels, channels)
        self.out_norm = nn.LayerNorm(channels)

    def forward(self, mask_embeds: Tensor, spatial_embeds: Tensor) -> Tensor:
        """Fuse two embeddings ``[B, N, C]`` into one of the same shape."""
        # Each embedding gives a share of the router and a value.
        mask_route, mask_value = self.mask_params(mask_embeds).chunk(2, -1)
        spatial_route, spatial_value = self.spatial_params(spatial_embeds).chunk(2, -1)
        # Both shares are multiplied: the router knows of both embeddings.
        route = mask_route * spatial_route
        # It makes a gate for each value, one number in [0, 1] per channel.
        mask_gate = self.mask_router_norm(self.mask_router(route)).sigmoid()
        spatial_gate = self.spatial_router_norm(self.spatial_router(route)).sigmoid()
        # The result is the sum of the gated values, projected.
        fused = mask_gate * self.mask_norm(mask_value)
        fused = fused + spatial_gate * self.spatial_norm(spatial_value)
        return F.gelu(self.out_norm(self.out(fused)))
