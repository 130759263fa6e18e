"""Region embeddings by separable dynamic interaction (SDI, table 4)."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.models.layers import (
    check_spatial_channels,
    embedding_mlp,
    init_linear,
    initial_logit_scale,
    pool_projection,
)
from mmovseg.models.ops import (
    MapToPool,
    convolve_channels,
    layer_norm_float32,
    mask_pool,
    without_autocast,
)
from mmovseg.registry import MODELS


@MODELS.register_module(force=True)  # the core says where it is
class SDIHead(BaseModule):
    """Embed each mask from mask features, refined by spatial ones.

    Args:
        channels: Width C of mask features and object kernels.
        spatial_channels: Channels of the spatial features.
        embed_channels: Width D of the text embeddings.
        num_queries: Number N of masks, that of the decoder.
        init_cfg: MMEngine's initialization config.

    Attributes:
        logit_scale: Learned log of the cosine's factor.

    Raises:
        ValueError: If there are no spatial features.

    Source: EOV-Seg, table 4 and appendix D; see
    :class:`SeparableDynamicInteraction` for what is a reading.
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
        spatial_channels = check_spatial_channels(spatial_channels, 'SDIHead')
        self.mask_proj = pool_projection(channels, channels)
        self.spatial_proj = pool_projection(spatial_channels, channels)
        self.interaction = SeparableDynamicInteraction(channels, num_queries)
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

        Raises:
            ValueError: If N is not ``num_queries``.
        """
        mask_embeds = self.mask_proj(mask_pool(mask_features, mask_logits))
        spatial_embeds = self.spatial_proj(mask_pool(spatial, mask_logits))
        return self.embed(self.interaction(mask_embeds, spatial_embeds) + kernels)


class SeparableDynamicInteraction(nn.Module):
    """Refine mask embeddings by spatial ones, convolved as the masks ask for (SDI).

    A mask embedding makes the taps of a convolution along the channels of its own
    spatial embedding, and the weights that mix those of all queries.

    Args:
        channels: Width C of both embeddings.
        num_queries: Number N of masks; the layer works for no other.
        kernel_size: Number of taps, odd.

    Source: EOV-Seg, appendix D and figure 8. Deviates: a figure is all there is, so
    that one linear layer makes both kernels, that nothing stands between the
    convolutions, and the norm and the sum at the end are a reading.
    """

    def __init__(self, channels: int, num_queries: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.sizes = [kernel_size, num_queries]
        self.kernels = nn.Linear(channels, sum(self.sizes))
        self.norm = nn.LayerNorm(channels)

    def forward(self, mask: Tensor, spatial: Tensor) -> Tensor:
        """Fuse two embeddings ``[B, N, C]`` into one of the same shape.

        Raises:
            ValueError: If N is not ``num_queries``.
        """
        if mask.shape[1] != self.sizes[1]:
            raise ValueError(
                f'The head was built for {self.sizes[1]} queries, the decoder has '
                f'{mask.shape[1]}: make decoder.head.num_queries equal to '
                'decoder.num_queries.'
            )
        kernel_weights, mixing = self.kernels(mask).split(self.sizes, -1)
        moved = convolve_channels(spatial, kernel_weights)
        with without_autocast(spatial.device):
            mixed = mixing.to(moved.dtype) @ moved
        return mask + layer_norm_float32(mixed, self.norm).to(mask.dtype)
