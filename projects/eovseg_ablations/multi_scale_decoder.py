"""Stages that look at maps of several scales in turns (table 5)."""

from __future__ import annotations

from torch import Tensor

from mmovseg.models import LiteDecoder
from mmovseg.models.ops import resize_masks
from mmovseg.models.structures import MaskPrediction, TextEmbeddings
from mmovseg.registry import MODELS


@MODELS.register_module()
class MultiScaleDecoder(LiteDecoder):
    """A decoder for the maps of a :class:`MultiScaleNeck`, or for those of one scale.

    It takes the arguments of :class:`~mmovseg.models.LiteDecoder`.

    Source: EOV-Seg, table 5; a stand-in, see :class:`MultiScaleNeck`.
    """

    def forward(
        self,
        mask_features: Tensor | tuple[Tensor, ...],
        spatial: Tensor | None,
        text: TextEmbeddings,
        *,
        all_stages: bool = True,
    ) -> list[MaskPrediction]:
        """Predict masks and class logits.

        Args:
            mask_features: Of stride 4, ``[B, C, h, w]``. Or a tuple of these and of the
                levels that the stages look at in turns.
            spatial: See :meth:`LiteDecoder.forward`.
            text: The vocabulary.
            all_stages: False classifies the last stage only, as inference needs.

        Returns:
            One prediction per stage, or the last stage's alone; best last.

        Raises:
            ValueError: If there are more levels than stages.
        """
        if isinstance(mask_features, Tensor):
            mask_features = (mask_features,)
        mask_features, *levels = mask_features
        levels = levels or [mask_features]
        if len(levels) > len(self.stages):
            raise ValueError(
                f'The neck makes {len(levels)} levels for {len(self.stages)} stages: '
                'neck.num_levels may be decoder.num_stages at most.'
            )
        fine = self.upsample_spatial(spatial, once=not all_stages)
        kernels, mask_logits = self.first_masks(mask_features)
        predictions = []
        for index, stage in enumerate(self.stages):
            # As DecoderStage.forward, but the kernels gather from another map.
            level = levels[index % len(levels)]
            masks = resize_masks(mask_logits.detach(), level.shape[-2:]) > 0
            kernels = stage.interact(kernels, masks, level)
            kernels, mask_logits = stage.refine(kernels, mask_features)
            if all_stages or index == len(self.stages) - 1:
                predictions.append(
                    self.classify(
                        index, mask_features, fine, mask_logits, kernels, text
                    )
                )
        return predictions
