"""EOV-Seg: efficient open-vocabulary panoptic segmentation."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mmovseg.registry import MODELS, build_part

from ..ensembles import build_ensemble
from ..ops import resize_masks
from ..structures import MaskPrediction, TextEmbeddings
from .base import OVSegmentor


@MODELS.register_module()
class EOVSeg(OVSegmentor):
    """Single-stage open-vocabulary panoptic segmentation on one shared frozen CLIP.

    Args:
        backbone: Config of the frozen convolutional CLIP.
        spatial_backbone: Config of the frozen spatial branch; None for a model without.
        neck: Config of the neck.
        decoder: Config of the decoder.
        ensemble: Config of the ensemble with CLIP's scores, a ``GeometricEnsemble``
            unless it has another ``type``; None for the trained scores alone.
        shared: What all segmentors take; see :class:`OVSegmentor`.

    Raises:
        ValueError: If backbone and text classifier embed in different widths.

    Source: EOV-Seg, AAAI 2025.
    """

    def __init__(
        self,
        backbone: dict,
        spatial_backbone: dict | None,
        *,
        neck: dict,
        decoder: dict,
        ensemble: dict | None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.backbone = MODELS.build(backbone)
        self.spatial_backbone = None
        spatial: dict[str, int | None] = dict(spatial_channels=None)
        if spatial_backbone is not None:
            self.spatial_backbone = MODELS.build(spatial_backbone)
            spatial = dict(
                spatial_channels=self.spatial_backbone.embed_dims,
                spatial_stride=self.spatial_backbone.stride,
            )
        self.check_embed_dims(self.backbone.embed_dims)
        text_channels = self.text_classifier.embed_dims
        self.neck = build_part(
            neck, in_channels=self.backbone.out_channels, text_channels=text_channels
        )
        self.decoder = build_part(decoder, embed_channels=text_channels, **spatial)
        self.ensemble = build_ensemble(ensemble, default='GeometricEnsemble')

    def segment(self, inputs: Tensor, text: TextEmbeddings) -> list[MaskPrediction]:
        """Predict masks and class logits; see :meth:`OVSegmentor.segment`."""
        # The frozen CLIP gives four maps, strides 4, 8, 16 and 32.
        features = self.backbone(inputs)
        # The neck makes one map of them, and weighs it by the vocabulary.
        mask_features = self.neck(features, text)  # [B, C, H / 4, W / 4]
        # The first blocks of a second CLIP tell where things are.
        spatial = None
        if self.spatial_backbone is not None:
            spatial = self.spatial_backbone(inputs)
        # The decoder finds masks, and compares what is inside with the names.
        stages = self.decoder(mask_features, spatial, text, all_stages=self.training)
        if self.training or self.ensemble is None:
            return stages
        # At inference the frozen CLIP has a say in the names, too.
        return [self.mix_zero_shot(stages[-1], features[-1], text)]

    def mix_zero_shot(
        self, prediction: MaskPrediction, features: Tensor, text: TextEmbeddings
    ) -> MaskPrediction:
        """Ensemble the trained class scores with those of the frozen CLIP.

        Args:
            prediction: The last stage.
            features: CLIP's last map, ``[B, C, H / 32, W / 32]``.
            text: The test vocabulary.

        Returns:
            The same masks with class log-probabilities.

        Source: EOV-Seg, appendix, inference details.
        """
        # CLIP embeds the same masks, from its own last map, and scores the names.
        masks = resize_masks(prediction.mask_logits, features.shape[-2:])
        region_embeds = self.backbone.pool_masks(features, masks)
        scale = self.text_classifier.logit_scale.exp().clamp(max=100)
        assert self.ensemble is not None
        class_logits = self.ensemble(
            prediction.class_logits,
            text.logits(region_embeds, scale)[..., :-1],
            self.find_seen(text),
            # A mask can be smaller than a position of that map.
            valid=(masks > 0).any(-1).any(-1),
        )
        return prediction._replace(class_logits=class_logits)
