"""What all open-vocabulary segmentors share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

from .. import ops
from ..structures import MaskPrediction, TextEmbeddings
from ..targets import collect_targets


class OVSegmentor(BaseModel):
    """A vocabulary becomes text embeddings, an image becomes masks scored by them.

    Subclasses implement :meth:`segment`; loss, results and vocabulary are written
    here once.

    Args:
        text_classifier: Config of the text classifier; None for a model that names
            nothing.
        criterion: Config of the loss.
        fusion: Config of the fusion of masks into results.
        train_vocabulary: Packaged name, path or list; the classes of the annotation.
        test_vocabulary: The same for inference; None means ``train_vocabulary``.
        data_preprocessor: Config of the preprocessor.
        init_cfg: MMEngine's initialisation config.

    Attributes:
        plain: Whether calls of the model run the plain form of every operation; see
            :func:`mmovseg.models.ops.plain`.
    """

    plain = False

    def __init__(
        self,
        text_classifier: dict | None,
        criterion: dict,
        *,
        fusion: dict,
        train_vocabulary: str | Sequence[str],
        test_vocabulary: str | Sequence[str] | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.text_classifier = None
        if text_classifier is not None:
            self.text_classifier = MODELS.build(text_classifier)
        self.criterion = MODELS.build(criterion)
        self.fusion = MODELS.build(fusion)
        self.train_vocabulary = Vocabulary.load(train_vocabulary)
        self.set_vocabulary(
            train_vocabulary if test_vocabulary is None else test_vocabulary
        )

    def set_vocabulary(
        self, vocabulary: Vocabulary | str | Path | Sequence[str]
    ) -> None:
        """Choose the classes that :meth:`predict` finds, from the next batch on.

        Args:
            vocabulary: A vocabulary, a packaged name, a path or a list of names.
        """
        self.vocabulary = Vocabulary.load(vocabulary)
        seen = torch.tensor(self.vocabulary.seen_in(self.train_vocabulary))
        parameter = next(self.parameters(), seen)  # none yet in a model without names
        device = parameter.device
        # Depends on the vocabulary, not on weights: kept out of checkpoints.
        self.register_buffer('seen', seen.to(device), persistent=False)

    def check_embed_dims(self, width: int) -> None:
        """Raise a ValueError unless regions and names are embedded in one space.

        Args:
            width: Channels of the backbone's embeddings.
        """
        if width != self.text_classifier.embed_dims:
            raise ValueError(
                f'The backbone embeds regions in {width} channels, the text classifier '
                f'names in {self.text_classifier.embed_dims}: both have to be towers '
                'of one CLIP (model_name and pretrained).'
            )

    def embed(self, vocabulary: Vocabulary) -> TextEmbeddings | None:
        """Embed the names of a vocabulary; None for a model that names nothing."""
        if self.text_classifier is None:
            return None
        return self.text_classifier(vocabulary)

    def drop_text_tower(self) -> None:
        """Encode the vocabulary of inference, then free the memory of the text tower.

        Weights and vocabulary must be there before. Afterwards other vocabularies can
        be used only if they are cached.
        """
        if self.text_classifier is not None:
            self.text_classifier.encode(self.vocabulary)
            self.text_classifier.drop_text_tower()

    @abstractmethod
    def segment(self, inputs: Tensor, text: TextEmbeddings) -> list[MaskPrediction]:
        """Predict masks and class logits.

        Args:
            inputs: Normalised, padded images, ``[B, 3, H, W]``.
            text: The vocabulary.

        Returns:
            One prediction per supervised stage, best last; at inference only the
            last counts.
        """

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> dict[str, Tensor] | list | MaskPrediction:
        """Run in one of MMEngine's modes.

        Args:
            inputs: Normalised, padded images, ``[B, 3, H, W]``.
            data_samples: mmdet's or mmseg's data samples, one per image.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.

        Returns:
            Losses by name, data samples with results, or the raw prediction.

        Raises:
            ValueError: If the mode is another one.
        """
        with ops.plain(self.plain):
            if mode == 'loss':
                return self.loss(inputs, data_samples)
            if mode == 'predict':
                return self.predict(inputs, data_samples)
            if mode == 'tensor':
                return self.segment(inputs, self.embed(self.vocabulary))[-1]
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}.")

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Compute the losses of all stages, by name, already weighted."""
        text = self.embed(self.train_vocabulary)
        size = inputs.shape[-2:]
        targets = collect_targets(data_samples, self.train_vocabulary, size)
        return self.criterion(self.segment(inputs, text), targets)

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Segment a batch into data samples with the fusion's results."""
        text = self.embed(self.vocabulary)
        results: list = [None] * len(inputs)
        for size, members in self._group_by_size(inputs, data_samples).items():
            group = inputs[members][..., : size[0], : size[1]].contiguous()
            samples = data_samples and [data_samples[i] for i in members]
            prediction = self.infer(group, text, samples)
            done = self.fusion(prediction, samples, self.vocabulary, size)
            for index, sample in zip(members, done, strict=True):
                results[index] = sample
        return results

    def infer(
        self, inputs: Tensor, text: TextEmbeddings, data_samples: list | None
    ) -> MaskPrediction:
        """Predict images of one padded size, for a model that needs their own sizes.

        Args:
            inputs: Normalised, padded images, ``[B, 3, H, W]``.
            text: The vocabulary.
            data_samples: One per image, or None.
        """
        return self.segment(inputs, text)[-1]

    def _group_by_size(
        self, inputs: Tensor, data_samples: list | None
    ) -> dict[tuple[int, int], list[int]]:
        """Group a batch by the padding that each image needs on its own.

        Padding takes part in every sum of the network, so an image gets no more of it
        in a batch than alone, and the same result.
        """
        whole = tuple(inputs.shape[-2:])
        # Without a divisor nobody padded to one, and the batch stays as it is.
        divisor = getattr(self.data_preprocessor, 'pad_size_divisor', max(whole))
        groups: dict[tuple[int, int], list[int]] = {}
        for index in range(len(inputs)):
            shape = whole
            if data_samples:
                shape = data_samples[index].metainfo.get('img_shape', whole)
            own = tuple(
                min(-(-length // divisor) * divisor, limit)
                for length, limit in zip(shape[:2], whole, strict=True)
            )
            groups.setdefault(own, []).append(index)
        return groups
