"""How EOV-Seg embeds parts of a photo, and examples of a class."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..examples import RegionEmbeds, best_query, unseen_part
from ..structures import MaskPrediction, TextEmbeddings
from .base import OVSegmentor


class EOVSegEmbedding(OVSegmentor):
    """What a presence filter and examples ask of EOV-Seg, beside the method itself."""

    backbone: Any
    ensemble: Any

    @property
    def embeds_parts(self) -> bool:
        """See :attr:`OVSegmentor.embeds_parts`."""
        return hasattr(self.backbone, 'pool_masks')

    def embed_parts(self, inputs: Tensor, features: Any, cut: Any) -> Tensor:
        """Pool CLIP's last map; see :meth:`OVSegmentor.embed_parts`."""
        coarse = features[0][-1]
        parts = cut(tuple(coarse.shape[-2:]), coarse.device)
        return self.backbone.pool_masks(coarse, parts.expand(len(coarse), -1, -1, -1))

    def decode(
        self, features: Any, text: TextEmbeddings, names: TextEmbeddings
    ) -> list[MaskPrediction]:
        """Make masks and their class logits; see ``EOVSeg``."""
        raise NotImplementedError

    def embed_example(
        self, inputs: Tensor, masks: Tensor, text: TextEmbeddings
    ) -> RegionEmbeds:
        """Embed the query that fits, and the mask; see the base class."""
        features = self.extract_feat(inputs)
        clip, unseen = None, ''
        if self.ensemble is not None:
            coarse = features[0][-1]
            unseen = unseen_part(masks, coarse.shape[-2:])
            if not unseen:
                both = torch.cat([masks, -masks], 1)
                embeds = self.backbone.pool_masks(coarse, both)[0]
                clip = embeds[0], embeds[1:]
        # Cosines with unit rows are the embedding itself, times a factor.
        width = self.text_classifier.embed_dims
        rows = torch.eye(width, device=inputs.device)
        unit = TextEmbeddings(rows, torch.arange(width, device=rows.device), width - 1)
        prediction = self.decode(features, text, unit)[-1]
        query = best_query(prediction.mask_logits[0], masks[0, 0])
        if query is None:
            return RegionEmbeds(clip=clip, unseen=unseen)
        queries = prediction.class_logits[0]
        return RegionEmbeds((queries[query], queries), clip, unseen)
