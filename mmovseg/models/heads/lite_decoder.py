"""The light decoder of EOV-Seg."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..layers import DecoderStage, SpatialUpsample
from ..ops import make_masks
from ..structures import MaskPrediction, TextEmbeddings


@MODELS.register_module()
class LiteDecoder(BaseModule):
    """Refine learned object kernels into masks and class logits, stage by stage.

    Args:
        head: Config of the region embedding head, built once per stage.
        spatial_channels: Channels S of the spatial features; None for a model without.
        embed_channels: Width D of the text embeddings.
        channels: Width C of image features and object kernels.
        num_stages: Number of stages, each with its own weights.
        num_queries: Number N of object kernels.
        early_fusion: Fuse the spatial features into the image features before the
            first stage (EAF); none are left for the head.
        spatial_stride: Stride of the spatial features in pixels; they are upsampled to
            stride 4.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: If there are no spatial features to fuse, or their stride is none
            of 4, 8, 16 and 32.

    Source: EOV-Seg, lightweight decoder and spatial awareness extractor; appendix D
    for early aggregation fusion.
    """

    stage_type: type[DecoderStage] = DecoderStage

    def __init__(
        self,
        head: dict,
        spatial_channels: int | None,
        *,
        embed_channels: int,
        channels: int = 256,
        num_stages: int = 3,
        num_queries: int = 100,
        early_fusion: bool = False,
        spatial_stride: int = 16,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.object_kernels = nn.Embedding(num_queries, channels)
        self.spatial_upsample = None
        if spatial_channels is not None:
            self.spatial_upsample = SpatialUpsample(spatial_channels, spatial_stride)
        self.early_fusion = None
        if early_fusion:
            if spatial_channels is None:
                raise ValueError(
                    'early_fusion=True needs a model with a spatial_backbone.'
                )
            self.early_fusion = nn.Conv2d(channels + spatial_channels, channels, 1)
        self.stages = nn.ModuleList(
            self.stage_type(channels) for _ in range(num_stages)
        )
        widths = dict(
            channels=channels,
            spatial_channels=None if early_fusion else spatial_channels,
            embed_channels=embed_channels,
        )
        self.heads = nn.ModuleList(
            MODELS.build(head, default_args=widths) for _ in range(num_stages)
        )

    def forward(
        self,
        pixels: Tensor | tuple[Tensor, ...],
        spatial: Tensor | None,
        text: TextEmbeddings,
        *,
        all_stages: bool = True,
    ) -> list[MaskPrediction]:
        """Predict masks and class logits.

        Args:
            pixels: Image features of stride 4, ``[B, C, h, w]``. Or a tuple of these
                and of other levels, with which the stages interact in turns.
            spatial: Spatial features of stride 16 (``spatial_stride``), ``[B, S,
                h / 4, w / 4]``; None for a model without.
            text: The vocabulary.
            all_stages: False classifies the last stage only, as inference needs.

        Returns:
            One prediction per stage, or the last stage's alone; best last.

        Raises:
            ValueError: If there are more levels than stages.
        """
        pixels, *levels = pixels if isinstance(pixels, tuple) else (pixels,)
        if len(levels) > len(self.stages):
            raise ValueError(
                f'The neck makes {len(levels)} levels for {len(self.stages)} stages: '
                'neck.num_levels may be decoder.num_stages at most.'
            )
        if self.spatial_upsample is not None:
            # Nothing but pooling in one head: no need for the whole map.
            once = self.early_fusion is None and not all_stages
            upsample = self.spatial_upsample
            spatial = upsample.for_pooling(spatial) if once else upsample(spatial)
        if self.early_fusion is not None:
            pixels = self.early_fusion(torch.cat([pixels, spatial], 1))
        kernels = self.object_kernels.weight.expand(pixels.shape[0], -1, -1)
        mask_logits = make_masks(kernels, pixels)
        predictions = []
        for index, (stage, head) in enumerate(
            zip(self.stages, self.heads, strict=True)
        ):
            level = levels[index % len(levels)] if levels else pixels
            kernels, mask_logits = stage(kernels, mask_logits, pixels, level)
            if all_stages or index == len(self.stages) - 1:
                regions = head(pixels, spatial, mask_logits, kernels)
                # CLIP's bound on the factor of the cosine.
                scale = head.logit_scale.exp().clamp(max=100)
                class_logits = text.logits(regions, scale)
                predictions.append(MaskPrediction(class_logits, mask_logits))
        return predictions
