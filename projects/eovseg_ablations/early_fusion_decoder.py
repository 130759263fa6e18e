"""Early aggregation fusion of the spatial features (EAF, table 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmovseg.models import LiteDecoder
from mmovseg.models.decoders.lite_decoder import SpatialUpsample
from mmovseg.models.structures import MaskPrediction, TextEmbeddings
from mmovseg.registry import MODELS


@MODELS.register_module()
class EarlyFusionDecoder(LiteDecoder):
    """Fuse the spatial features into the mask features before the first stage.

    None are left for the head: take ``MaskEmbedHead``.

    Args:
        head: See :class:`~mmovseg.models.LiteDecoder`.
        spatial_channels: Channels S of the spatial features.
        embed_channels: See :class:`~mmovseg.models.LiteDecoder`.
        channels: See :class:`~mmovseg.models.LiteDecoder`.
        num_stages: See :class:`~mmovseg.models.LiteDecoder`.
        num_queries: See :class:`~mmovseg.models.LiteDecoder`.
        spatial_stride: See :class:`~mmovseg.models.LiteDecoder`.
        init_cfg: MMEngine's initialization config.

    Raises:
        ValueError: If there are no spatial features to fuse.

    Source: EOV-Seg, appendix D.
    """

    def __init__(
        self,
        head: dict,
        spatial_channels: int | None,
        *,
        embed_channels: int,
        channels: int = 256,
        num_stages: int = 3,
        num_queries: int = 100,
        spatial_stride: int = 16,
        init_cfg: dict | None = None,
    ) -> None:
        if spatial_channels is None:
            raise ValueError(
                'EarlyFusionDecoder needs a model with a spatial_backbone.'
            )
        super().__init__(
            head,
            None,
            embed_channels=embed_channels,
            channels=channels,
            num_stages=num_stages,
            num_queries=num_queries,
            init_cfg=init_cfg,
        )
        self.spatial_upsample = SpatialUpsample(spatial_channels, spatial_stride)
        self.early_fusion = nn.Conv2d(channels + spatial_channels, channels, 1)

    def forward(
        self,
        mask_features: Tensor,
        spatial: Tensor,
        text: TextEmbeddings,
        *,
        all_stages: bool = True,
    ) -> list[MaskPrediction]:
        """Predict masks and class logits; see :meth:`LiteDecoder.forward`."""
        both = torch.cat([mask_features, self.spatial_upsample(spatial)], 1)
        return super().forward(
            self.early_fusion(both), None, text, all_stages=all_stages
        )
