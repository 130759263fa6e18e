"""DeOP: zero-shot segmentation in one pass through CLIP."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmovseg.registry import MODELS, build_part, takes

from ..examples import RegionEmbeds, nearest_mask, unseen_part
from ..layers import measure_one_map
from ..ops import mask_pool, resize_masks
from ..structures import LOGIT_SCALE, MaskPrediction, TextEmbeddings
from .base import OVSegmentor


@MODELS.register_module()
class DeOP(OVSegmentor):
    """Two decoupled streams: frozen mask proposals, and a CLIP that names them.

    Trained are the prompts, the head and void; the proposal network is not, though its
    dropout stays on in training, as in the released code.

    Args:
        proposals: Config of the proposal network; anything that gives masks for images
            (:class:`~mmovseg.models.protocols.Proposals`).
        backbone: Config of the dense CLIP tower, or of another backbone with one map.
            It gets the masks if its ``forward`` takes ``mask_logits``. A map that is
            not as wide as the text embeddings is brought to their width by a trained
            1x1 convolution, unless the backbone is a CLIP.
        head: Config of the head that embeds proposals.
        shared: What all segmentors take; see :class:`OVSegmentor`.

    Raises:
        ValueError: If backbone and text classifier embed in different widths, or the
            backbone has several maps.

    Source: DeOP, ICCV 2023.
    """

    def __init__(
        self,
        proposals: dict,
        backbone: dict,
        *,
        head: dict,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        # Proposals of other libraries want other statistics.
        statistics = self.data_preprocessor
        self.proposals = build_part(
            proposals,
            mean=getattr(statistics, 'mean', None),
            std=getattr(statistics, 'std', None),
        ).requires_grad_(False)
        self.backbone = MODELS.build(backbone)
        width = self.text_classifier.embed_dims
        self._backbone_reads_masks = takes(self.backbone.forward, 'mask_logits')
        self.projection: nn.Module | None = None
        if hasattr(self.backbone, 'encode_image'):
            self.check_embed_dims(self.backbone.embed_dims)
        else:  # no CLIP, so its map is not in the space of the names
            channels = measure_one_map(self.backbone).channels
            if channels != width:
                self.projection = nn.Conv2d(channels, width, 1)
        if head.get('embed_channels', width) != width:
            raise ValueError(
                f'head.embed_channels is {head["embed_channels"]}, but names and '
                f'patches are embedded in {width} channels: leave it out.'
            )
        self.head = build_part(head, embed_channels=width)

    def train(self, mode: bool = True) -> DeOP:
        """Switch the mode; batch norms of the proposals keep their statistics."""
        super().train(mode)
        for module in self.proposals.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    @property
    def embeds_parts(self) -> bool:
        """See :attr:`OVSegmentor.embeds_parts`."""
        return hasattr(self.backbone, 'encode_image')

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Find masks ``[B, N, h', w']`` and embed patches ``[B, D, h, w]``."""
        # The frozen proposal network finds masks, whatever they show.
        with torch.no_grad():
            mask_logits = self.proposals(inputs)[-1].mask_logits
        # One pass through CLIP embeds every patch; severed blocks keep patches apart.
        return mask_logits, self._embed_patches(inputs, mask_logits)

    def embed_parts(self, inputs: Tensor, features: Any, cut: Any) -> Tensor:
        """Average patches; see :meth:`OVSegmentor.embed_parts`."""
        _, patches = features
        parts = cut(tuple(patches.shape[-2:]), patches.device)
        return mask_pool(patches, parts.expand(len(patches), -1, -1, -1))

    def embed_example(
        self, inputs: Tensor, masks: Tensor, text: TextEmbeddings
    ) -> RegionEmbeds:
        """Let the object be a proposal; see :meth:`OVSegmentor.embed_example`."""
        proposals = self.proposals(inputs)[-1].mask_logits.clone()
        if unseen_part(masks, proposals.shape[-2:]) == 'object':
            return RegionEmbeds(unseen='object')
        masks = masks.where(masks != 0, -1)  # the object is not in the padding
        # A head may have a query per proposal: it takes the place of the nearest one.
        index, _ = nearest_mask(proposals[0], masks[0, 0])
        proposals[0, index] = 20 * resize_masks(masks, proposals.shape[-2:])[0, 0]
        embeds = self.head(self._embed_patches(inputs, proposals), proposals)[0][0]
        return RegionEmbeds(trained=(embeds[index], embeds))

    def segment(
        self, inputs: Tensor, text: TextEmbeddings, features: Any = None
    ) -> list[MaskPrediction]:
        """Predict masks and class logits; see :meth:`OVSegmentor.segment`."""
        # Two streams look at the image: one finds masks, CLIP embeds patches.
        features = self.extract_feat(inputs) if features is None else features
        mask_logits, patches = features
        # The head pools the patches that stand for a proposal.
        region_embeds, heatmaps = self.head(patches, mask_logits)
        # The embeddings of the proposals are compared with the names.
        class_logits = text.logits(region_embeds, LOGIT_SCALE)
        return [MaskPrediction(class_logits, mask_logits, heatmaps)]

    def _embed_patches(self, inputs: Tensor, mask_logits: Tensor) -> Tensor:
        """Run the backbone, ``[B, D, h, w]``."""
        if self._backbone_reads_masks:
            features = self.backbone(inputs, mask_logits)
        else:
            features = self.backbone(inputs)
        if not isinstance(features, Tensor):
            [features] = features
        return features if self.projection is None else self.projection(features)
