"""EOV-Seg: efficient open-vocabulary panoptic segmentation."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mmovseg.registry import MODELS, build_part, is_foreign, takes

from ..ensembles import build_ensemble
from ..ops import resize_masks
from ..structures import MaskPrediction, TextEmbeddings
from .eovseg_embedding import EOVSegEmbedding
from .foreign_parts import NO_CLIP, check_parts, list_channels, measure_spatial


@MODELS.register_module()
class EOVSeg(EOVSegEmbedding):
    """Single-stage open-vocabulary panoptic segmentation on one shared frozen CLIP.

    Parts of other packages fit in: a backbone with maps of strides 4, 8, 16 and 32, a
    neck whose first map has stride 4, a spatial backbone with one map. Channels and
    strides that they do not tell are measured.

    Args:
        backbone: Config of the frozen convolutional CLIP, or of another backbone.
        spatial_backbone: Config of the frozen spatial branch; None for a model without.
        neck: Config of the neck. It gets ``in_channels`` and ``text_channels``, and at
            a call ``text``, if it takes them.
        decoder: Config of the decoder.
        ensemble: Config of the ensemble with CLIP's scores, a ``GeometricEnsemble``
            unless it has another ``type``; None for the trained scores alone, and for
            a backbone that is no CLIP.
        shared: What all segmentors take; see :class:`OVSegmentor`.

    Raises:
        ValueError: If the parts do not fit together; the message names them.

    Source: EOV-Seg, AAAI 2025.
    """

    def __init__(
        self,
        backbone: dict,
        spatial_backbone: dict | None,
        *,
        neck: dict,
        decoder: dict,
        ensemble: dict | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.backbone = MODELS.build(backbone)
        self.spatial_backbone = None
        spatial: dict[str, int | None] = dict(spatial_channels=None)
        if spatial_backbone is not None:
            self.spatial_backbone = MODELS.build(spatial_backbone)
            channels, stride = measure_spatial(self.spatial_backbone)
            spatial = dict(spatial_channels=channels, spatial_stride=stride)
        if hasattr(self.backbone, 'pool_masks'):
            self.check_embed_dims(self.backbone.embed_dims)
        elif ensemble is not None:
            raise ValueError(NO_CLIP.format(type(self.backbone).__name__))
        text_channels = self.text_classifier.embed_dims
        in_channels = list_channels(self.backbone)
        self.neck = build_part(
            neck, in_channels=in_channels, text_channels=text_channels
        )
        self._neck_reads_text = takes(self.neck.forward, 'text')
        self.decoder = build_part(decoder, embed_channels=text_channels, **spatial)
        self.ensemble = build_ensemble(ensemble, default='GeometricEnsemble')
        if any(is_foreign(part) for part in (self.backbone, self.neck)):
            check_parts(self)

    def run_neck(self, features: Any, text: TextEmbeddings) -> Any:
        """Run the neck, with the names if it reads them."""
        if self._neck_reads_text:
            return self.neck(features, text=text)
        return self.neck(features)

    def extract_feat(self, inputs: Tensor) -> Any:
        """Run both backbones; see :meth:`OVSegmentor.extract_feat`."""
        # The frozen CLIP gives four maps, strides 4, 8, 16 and 32.
        maps = self.backbone(inputs)
        # The first blocks of a second CLIP tell where things are.
        spatial = None
        if self.spatial_backbone is not None:
            spatial = self.spatial_backbone(inputs)
            spatial = spatial if isinstance(spatial, Tensor) else spatial[0]
        return maps, spatial

    def segment(
        self, inputs: Tensor, text: TextEmbeddings, features: Any = None
    ) -> list[MaskPrediction]:
        """Predict masks and class logits; see :meth:`OVSegmentor.segment`."""
        # Both backbones look at the image.
        features = self.extract_feat(inputs) if features is None else features
        # They become masks, and what is inside is compared with the names.
        stages = self.decode(features, text, text)
        if self.training or self.ensemble is None:
            return stages
        # At inference the frozen CLIP has a say in the names, too.
        return [self.mix_zero_shot(stages[-1], features[0][-1], text)]

    def decode(
        self, features: Any, text: TextEmbeddings, names: TextEmbeddings
    ) -> list[MaskPrediction]:
        """Make masks with the scores of the trained classifier.

        Args:
            features: From :meth:`extract_feat`.
            text: What the neck selects by.
            names: What is compared with the inside of the masks.
        """
        maps, spatial = features
        # The neck makes one map of CLIP's, and weighs it by the vocabulary.
        mask_features = self.run_neck(maps, text)  # [B, C, H / 4, W / 4]
        # The decoder finds masks, and compares what is inside with the names.
        return self.decoder(mask_features, spatial, names, all_stages=self.training)

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
        class_logits = self.ensemble(
            prediction.class_logits,
            text.for_clip().logits(region_embeds, scale)[..., :-1],
            self.find_seen(text),
            # A mask can be smaller than a position of that map.
            valid=(masks > 0).any(-1).any(-1),
        )
        return prediction._replace(class_logits=class_logits)
