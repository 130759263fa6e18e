"""The proposal network as a model of its own."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mmovseg.registry import MODELS

from ..structures import LOGIT_SCALE, MaskPrediction, TextEmbeddings
from .base import OVSegmentor


@MODELS.register_module()
class ZeroShotMaskFormer(OVSegmentor):
    """Masks of a proposal network, classified by the embeddings of its queries.

    Trains the proposals of DeOP (its second stage). A network without class branch
    gives masks alone: all class logits are zero, and nothing but masks can be trained.

    Args:
        proposals: Config of the proposal network.
        text_classifier: See :class:`OVSegmentor`; None without a class branch, so that
            the weights of this stage fit any CLIP. What of it is trained is up to its
            own config.
        shared: What all segmentors take; see :class:`OVSegmentor`. The ``class_weight``
            of the criterion is above 0 exactly if the network has a class branch.

    Raises:
        ValueError: If the class branch does not fit text embeddings or criterion.

    Source: DeOP, section 3, and its code (after SimBaseline, arXiv 2112.14757).
    """

    needs_names = False

    def __init__(
        self,
        proposals: dict,
        text_classifier: dict | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(text_classifier, **shared)
        self.proposals = MODELS.build(proposals)
        width, class_weight = self.proposals.embed_channels, self.criterion.class_weight
        # Parameters that no loss reaches stop distributed training.
        if (class_weight > 0) != (width is not None):
            raise ValueError(
                f'criterion.class_weight is {class_weight}, proposals.embed_channels '
                f'{width}. Set both (class_weight above 0) or neither (0 and None).'
            )
        if width is not None:
            if self.text_classifier is None:
                raise ValueError(
                    'proposals.embed_channels embeds queries for classification, so '
                    'there has to be a text_classifier.'
                )
            self.check_embed_dims(width)
        elif self.text_classifier is not None:
            self.text_classifier.requires_grad_(False)

    def segment(
        self, inputs: Tensor, text: TextEmbeddings, features: Any = None
    ) -> list[MaskPrediction]:
        """Predict masks and class logits; see :meth:`OVSegmentor.segment`."""
        predictions = []
        for mask_logits, region_embeds, _ in self.proposals(inputs):
            if region_embeds is None:
                # Without classes, and so none more likely than another.
                shape = (*mask_logits.shape[:2], text.count_classes() + 1)
                class_logits = mask_logits.new_zeros(shape)
            else:
                class_logits = text.logits(region_embeds, LOGIT_SCALE)
            predictions.append(MaskPrediction(class_logits, mask_logits))
        return predictions
