"""Our decoders as panoptic head of mmdet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

from ..ops import resize_masks
from .mask_head import MaskHead


@MODELS.register_module()
class MaskPanopticHead(MaskHead):
    """A decoder of ours in mmdet's ``MaskFormer`` and ``Mask2Former`` detectors.

    Args:
        in_channels: Channels of the maps of the backbone, finest first.
        decoder: Config of the decoder, such as ``LiteDecoder``.
        num_things_classes: Of the annotation, whose things come first.
        num_stuff_classes: Of the annotation.
        vocabulary: The classes by name; needed with ``text``.
        train_cfg: Not used: the criterion has its own arguments.
        test_cfg: Not used: it is for the fusion head.
        parts: ``criterion``, ``neck``, ``text``, ``spatial_index`` and the other
            arguments of :class:`MaskHead`.

    Raises:
        ValueError: If vocabulary and counts disagree, or things are not first.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        decoder: dict,
        *,
        num_things_classes: int,
        num_stuff_classes: int,
        vocabulary: str | Sequence[str] | None = None,
        train_cfg: Any = None,
        test_cfg: Any = None,
        **parts: Any,
    ) -> None:
        classes = read_things_first(
            type(self), vocabulary, num_things_classes, num_stuff_classes
        )
        if vocabulary is None and parts.get('text') is not None:
            raise ValueError(
                'MaskPanopticHead compares with names (text), so it needs a vocabulary.'
            )
        if vocabulary is not None and parts.get('text') is None:
            raise ValueError(
                'MaskPanopticHead has a vocabulary, but nothing that reads it: add '
                "text=dict(type='mmovseg.TextClassifier', ...), or leave the "
                'vocabulary out for classes by number.'
            )
        super().__init__(in_channels, decoder, classes=classes, **parts)
        self.num_things_classes = num_things_classes
        self.num_stuff_classes = num_stuff_classes

    def forward(
        self, x: Sequence[Tensor], batch_data_samples: list | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return class logits ``[B, N, K + 1]`` and mask logits of the stages."""
        stages = self.segment(x)
        return [s.class_logits for s in stages], [s.mask_logits for s in stages]

    def loss(self, x: Sequence[Tensor], batch_data_samples: list) -> dict[str, Tensor]:
        """Return the losses of all stages by name, weighted."""
        return self.compute_losses(x, batch_data_samples)

    def predict(
        self, x: Sequence[Tensor], batch_data_samples: list
    ) -> tuple[Tensor, Tensor]:
        """Return what the fusion head takes.

        Args:
            x: Maps of the backbone.
            batch_data_samples: Their ``batch_input_shape`` is H and W.

        Returns:
            Class logits ``[B, N, K + 1]`` and mask logits ``[B, N, H, W]``.
        """
        prediction = self.segment(x)[-1]
        height, width = batch_data_samples[0].metainfo['batch_input_shape'][:2]
        masks = resize_masks(prediction.mask_logits, (height, width))
        return prediction.class_logits, masks


def read_things_first(
    head: type, vocabulary: Any, num_things: int, num_stuff: int
) -> Vocabulary:
    """Return the classes of a part of mmdet, whose things come first.

    Raises:
        ValueError: If the vocabulary is another one.
    """
    flags = (True,) * num_things + (False,) * num_stuff
    if vocabulary is None:
        names = tuple((f'class {number}',) for number in range(len(flags)))
        return Vocabulary(names, flags)
    classes = Vocabulary.load(vocabulary)
    if classes.is_thing != flags:
        raise ValueError(
            f'{head.__name__}: the vocabulary has {sum(classes.is_thing)} things and '
            f'{len(classes) - sum(classes.is_thing)} stuff classes; num_things_classes '
            f'is {num_things} and num_stuff_classes {num_stuff}, things first. List '
            'the things first, and mark each class ("thing: dog", "stuff: grass").'
        )
    return classes
