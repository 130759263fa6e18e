"""A classifier whose classes are names, in place of a linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..layers import initial_logit_scale
from .part_text import PartText


@MODELS.register_module()
class TextLinear(BaseModule):
    """Project features to CLIP's space, and compare them with the names.

    It stands where heads of mmdet and mmseg have a linear layer or a 1x1 convolution
    to their classes; mmdet's bounding-box heads build it by ``cls_predictor_cfg``.

    Args:
        in_features: Channels C of what is classified.
        out_features: What the layer has to give: K + 1 (background last, as in
            mmdet) or K, for the K classes of the annotation.
        text: Config of a ``TextClassifier``.
        vocabulary: The classes of the annotation: a packaged name, a path or a list.
        channels_first: Features are ``[B, C, h, w]`` instead of ``[..., C]``.
        bias: Ignored; linear layers have it.
        init_cfg: MMEngine's initialization config.

    Attributes:
        logit_scale: Learned log of the factor of the cosine.

    Raises:
        ValueError: If the vocabulary has another number of classes.

    Source: EOV-Seg, section 3 (classes by cosine, void learned).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        text: dict,
        vocabulary: str | Sequence[str],
        channels_first: bool = False,
        bias: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.names = PartText(text, vocabulary)
        count = len(self.names.vocabulary)
        if out_features not in (count, count + 1):
            raise ValueError(
                f'The head has {out_features} outputs, but the vocabulary has {count} '
                f'classes: set num_classes of the head to {count} (for panoptic heads '
                'num_things_classes and num_stuff_classes), or change the vocabulary.'
            )
        self.has_void = out_features == count + 1
        self.channels_first = channels_first
        self.projection = nn.Linear(in_features, self.names.embed_dims)
        self.logit_scale = initial_logit_scale()

    def forward(self, features: Tensor) -> Tensor:
        """Classify ``[..., C]``.

        Returns:
            Logits ``[..., K + 1]`` or ``[..., K]``, of the vocabulary of the moment;
            with ``channels_first`` ``[B, K, h, w]``.
        """
        if self.channels_first:
            features = features.movedim(1, -1)
        scale: Any = self.logit_scale.exp().clamp(max=100)
        logits = self.names().logits(self.projection(features), scale)
        logits = logits if self.has_void else logits[..., :-1]
        return logits.movedim(-1, 1) if self.channels_first else logits
