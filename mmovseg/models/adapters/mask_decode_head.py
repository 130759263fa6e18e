"""Our decoders as decode head of mmseg."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

from ..ops import resize_masks
from ..structures import MaskPrediction
from .mask_head import MaskHead

VOID = 255  # of mmseg's label maps


@MODELS.register_module()
class MaskDecodeHead(MaskHead):
    """A decoder of ours in mmseg's ``EncoderDecoder``.

    Args:
        in_channels: Channels of the maps of the backbone, finest first.
        decoder: Config of the decoder, such as ``LiteDecoder``.
        num_classes: K, where no vocabulary says it.
        vocabulary: The classes of the annotation; needed with ``text``.
        align_corners: False; mmseg reads it.
        parts: ``criterion``, ``neck``, ``text``, ``spatial_index`` and the other
            arguments of :class:`MaskHead`.

    Raises:
        ValueError: If there is neither ``num_classes`` nor a vocabulary, they
            disagree, or one of ``vocabulary`` and ``text`` is missing.
    """

    align_corners = False
    threshold = None

    def __init__(
        self,
        in_channels: Sequence[int],
        decoder: dict,
        *,
        num_classes: int | None = None,
        vocabulary: str | Sequence[str] | None = None,
        align_corners: bool = False,
        **parts: Any,
    ) -> None:
        if align_corners:
            raise ValueError('MaskDecodeHead resizes without align_corners.')
        classes = read_classes(type(self), vocabulary, num_classes, parts.get('text'))
        super().__init__(in_channels, decoder, classes=classes, **parts)

    @property
    def out_channels(self) -> int:
        """K, of the vocabulary at inference."""
        return len(self.names.vocabulary)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the score of every class at stride 4, ``[B, K, H / 4, W / 4]``."""
        return merge(self.segment(inputs)[-1])

    def loss(
        self, inputs: Sequence[Tensor], batch_data_samples: list, train_cfg: Any = None
    ) -> dict[str, Tensor]:
        """Return the losses of all stages by name, weighted.

        The label maps count alone, as in every head of mmseg.
        """
        samples = [
            BaseDataElement(metainfo=x.metainfo, gt_sem_seg=x.gt_sem_seg)
            for x in batch_data_samples
        ]
        for sample in samples:
            self._check_labels(sample)
        return self.compute_losses(inputs, samples)

    def _check_labels(self, sample: BaseDataElement) -> None:
        """Refuse labels of classes that the head lacks; they would count as void."""
        labels = sample.gt_sem_seg.data
        void = sample.gt_sem_seg.metainfo.get('ignore_index', VOID)
        known = (labels < self.num_classes) | (labels == void) | (labels == VOID)
        wrong = labels[~known]
        if len(wrong):
            raise ValueError(
                f'The annotation of {sample.metainfo.get("img_path", "an image")} has '
                f'class {int(wrong.max())}, but MaskDecodeHead has {self.num_classes} '
                'classes: set num_classes or the vocabulary to those of the dataset, '
                f'or make such pixels {VOID}.'
            )

    def predict(
        self, inputs: Sequence[Tensor], batch_img_metas: list[dict], test_cfg: Any
    ) -> Tensor:
        """Return the score of every class, ``[B, K, H, W]``.

        Args:
            inputs: Maps of the backbone.
            batch_img_metas: Their ``pad_shape`` (or ``img_shape``) is H and W.
            test_cfg: Not used.
        """
        meta = batch_img_metas[0]
        sliding = isinstance(meta['img_shape'], torch.Size)
        size = meta['img_shape' if sliding or 'pad_shape' not in meta else 'pad_shape']
        prediction = self.segment(inputs)[-1]
        masks = resize_masks(prediction.mask_logits, (size[0], size[1]))
        return merge(prediction._replace(mask_logits=masks))


def merge(prediction: MaskPrediction) -> Tensor:
    """Weigh masks by the probabilities of their classes, ``[B, K, h, w]``."""
    scores = prediction.class_logits.softmax(-1)[..., :-1]
    return torch.einsum('bnk,bnhw->bkhw', scores, prediction.mask_logits.sigmoid())


def read_classes(
    head: type,
    vocabulary: str | Sequence[str] | None,
    count: int | None,
    text: dict | None,
) -> Vocabulary:
    """Return the classes of a head; without names they have numbers.

    Raises:
        ValueError: If nothing tells them, or two things differently.
    """
    if vocabulary is None and text is not None:
        raise ValueError(
            f'{head.__name__} compares with names (text), so it needs a vocabulary: a '
            'packaged name, a path or a list.'
        )
    if vocabulary is None:
        if count is None:
            raise ValueError(f'{head.__name__} needs num_classes or a vocabulary.')
        names = tuple((f'class {number}',) for number in range(count))
        return Vocabulary(names, (False,) * count)
    classes = Vocabulary.load(vocabulary)
    if count not in (None, len(classes)):
        raise ValueError(
            f'num_classes of {head.__name__} is {count}, but its vocabulary has '
            f'{len(classes)} classes.'
        )
    if text is None:
        raise ValueError(
            f'{head.__name__} has a vocabulary, but nothing that reads it: add text='
            "dict(type='mmovseg.TextClassifier', ...), or give num_classes instead "
            'for classes by number.'
        )
    return classes
