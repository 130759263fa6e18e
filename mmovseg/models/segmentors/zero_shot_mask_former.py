"""The proposal network as a model of its own."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mmovseg.registry import MODELS

from ..structures import MaskPrediction, TextEmbeddings
from .base import OVSegmentor

LOGIT_SCALE = 100.0  # a constant in the released code, not CLIP's logit_scale


@MODELS.register_module()
class ZeroShotMaskFormer(OVSegmentor):
    """Masks of a proposal network, classified by the embeddings of its queries.

    Trains the proposals of DeOP (its second stage). A network without class branch
    gives masks alone: all class logits are zero, and nothing but masks can be trained.

    Args:
        proposals: Config of the proposal network.
        text_classifier: See :class:`OVSegmentor`. What of it is trained is up to its
            own config; the void embedding only with a class branch.
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
        text_classifier: dict,
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
        width, wanted = self.proposals.embed_channels, self.text_classifier.embed_dims
        if width not in (None, wanted):
            raise ValueError(
                f'proposals.embed_channels must be {wanted}, the width of the text '
                f'embeddings, or None, got {width}.'
            )
        class_weight = self.criterion.class_weight
        # Parameters that no loss reaches stop distributed training.
        if (class_weight > 0) != (width is not None):
            raise ValueError(
                f'criterion.class_weight is {class_weight}, proposals.embed_channels '
                f'{width}. Set both (class_weight above 0) or neither (0 and None).'
            )
        if width is None:
            self.text_classifier.requires_grad_(False)

    def segment(self, inputs: Tensor, text: TextEmbeddings) -> list[MaskPrediction]:
        """Predict masks and class logits; see :meth:`OVSegmentor.segment`."""
        predictions = []
        for mask_logits, regions in self.proposals(inputs):
            if regions is None:
                # Without direction: a cosine of 0 with every class.
                regions = mask_logits.new_zeros(
                    *mask_logits.shape[:2], text.weight.shape[1]
                )
            class_logits = text.logits(regions, LOGIT_SCALE)
            predictions.append(MaskPrediction(class_logits, mask_logits))
        return predictions
