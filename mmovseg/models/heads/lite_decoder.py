"""The light decoder of EOV-Seg."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..layers import ChannelLayerNorm, DecoderStage
from ..structures import MaskPrediction, TextEmbeddings


@MODELS.register_module()
class LiteDecoder(BaseModule):
    """Refine learned object kernels into masks and class logits, stage by stage.

    Args:
        head: Config of the region embedding head, built once per stage.
        spatial_channels: Channels of the spatial features.
        embed_channels: Width D of the text embeddings.
        channels: Width C of image features and object kernels.
        num_stages: Number of stages, each with its own weights.
        num_queries: Number N of object kernels.
        init_cfg: MMEngine's initialisation config.

    Source: EOV-Seg, lightweight decoder and spatial awareness extractor.
    """

    def __init__(
        self,
        head: dict,
        spatial_channels: int,
        *,
        embed_channels: int,
        channels: int = 256,
        num_stages: int = 3,
        num_queries: int = 100,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.object_kernels = nn.Embedding(num_queries, channels)
        self.spatial_upsample = nn.Sequential(
            nn.ConvTranspose2d(spatial_channels, spatial_channels, 2, stride=2),
            ChannelLayerNorm(spatial_channels),
            nn.GELU(),
            nn.ConvTranspose2d(spatial_channels, spatial_channels, 2, stride=2),
            nn.GELU(),
        )
        self.stages = nn.ModuleList(DecoderStage(channels) for _ in range(num_stages))
        widths = dict(
            channels=channels,
            spatial_channels=spatial_channels,
            embed_channels=embed_channels,
        )
        self.heads = nn.ModuleList(
            MODELS.build(head, default_args=widths) for _ in range(num_stages)
        )

    def forward(
        self,
        pixels: Tensor,
        spatial: Tensor,
        text: TextEmbeddings,
        *,
        all_stages: bool = True,
    ) -> list[MaskPrediction]:
        """Predict masks and class logits.

        Args:
            pixels: Image features of stride 4, ``[B, C, h, w]``.
            spatial: Spatial features of stride 16, ``[B, S, h / 4, w / 4]``.
            text: The vocabulary.
            all_stages: False classifies the last stage only, as inference needs.

        Returns:
            One prediction per stage, or the last stage's alone; best last.
        """
        spatial = self.spatial_upsample(spatial)
        kernels = self.object_kernels.weight.expand(len(pixels), -1, -1)
        mask_logits = torch.einsum('bnc,bchw->bnhw', kernels, pixels)
        predictions = []
        for index, (stage, head) in enumerate(
            zip(self.stages, self.heads, strict=True)
        ):
            kernels, mask_logits = stage(kernels, mask_logits, pixels)
            if all_stages or index == len(self.stages) - 1:
                regions = head(pixels, spatial, mask_logits, kernels)
                # CLIP's bound on the factor of the cosine.
                scale = head.logit_scale.exp().clamp(max=100)
                class_logits = text.logits(regions, scale)
                predictions.append(MaskPrediction(class_logits, mask_logits))
        return predictions
