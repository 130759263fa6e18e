"""The proposal network as a model of its own."""

from __future__ import annotations

from collections.abc import Sequence

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
        criterion: See :class:`OVSegmentor`; its ``class_weight`` is above 0 exactly
            if the network has a class branch.
        fusion: See :class:`OVSegmentor`.
        train_vocabulary: See :class:`OVSegmentor`.
        test_vocabulary: See :class:`OVSegmentor`.
        data_preprocessor: See :class:`OVSegmentor`.
        init_cfg: See :class:`OVSegmentor`.

    Raises:
        ValueError: If the class branch does not fit text embeddings or criterion.

    Source: DeOP, section 3, and its code (after SimBaseline, arXiv 2112.14757).
    """

    def __init__(
        self,
        proposals: dict,
        text_classifier: dict | None = None,
        *,
        criterion: dict,
        fusion: dict,
        train_vocabulary: str | Sequence[str],
        test_vocabulary: str | Sequence[str] | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            text_classifier,
            criterion,
            fusion=fusion,
            train_vocabulary=train_vocabulary,
            test_vocabulary=test_vocabulary,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
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
        self, inputs: Tensor, text: TextEmbeddings | None
    ) -> list[MaskPrediction]:
        """Predict masks and class logits; see :meth:`OVSegmentor.segment`."""
        predictions = []
        for mask_logits, region_embeds in self.proposals(inputs):
            if region_embeds is None or text is None:
                # Without classes, and so none more likely than another.
                vocabulary = self.train_vocabulary if self.training else self.vocabulary
                shape = (*mask_logits.shape[:2], len(vocabulary) + 1)
                class_logits = mask_logits.new_zeros(shape)
            else:
                class_logits = text.logits(region_embeds, LOGIT_SCALE)
            predictions.append(MaskPrediction(class_logits, mask_logits))
        return predictions
