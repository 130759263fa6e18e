"""What all open-vocabulary segmentors share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmovseg.registry import MODELS, build_criterion
from mmovseg.vocabulary import Example, Vocabulary

from .. import ops
from ..examples import RegionEmbeds, decode_example, move_rows, warn_of_unseen
from ..structures import MaskPrediction, TextEmbeddings
from ..targets import collect_targets

MAX_EXAMPLE_ROWS = 4  # vocabularies with examples whose rows a model keeps


class Execution(Protocol):
    """Another way to run the network of a segmentor, such as the fast mode.

    It computes what :meth:`OVSegmentor.segment_batch` computes, which it may call.

    Attributes:
        mode: Describes it.
    """

    mode: Any

    def __call__(
        self,
        model: OVSegmentor,
        inputs: Tensor,
        text: TextEmbeddings,
        data_samples: list | None,
    ) -> MaskPrediction:
        """See :meth:`OVSegmentor.segment_batch`."""


class OVSegmentor(BaseModel):
    """A vocabulary becomes text embeddings, an image becomes masks scored by them.

    Subclasses implement :meth:`segment`; loss, results and vocabulary are written
    here once. A call changes nothing in the model: what it needs travels with it, so
    several threads may call one model.

    Args:
        text_classifier: Config of the text classifier; None for a model that names
            nothing.
        criterion: Config of the loss; None for a model that is not trained.
        fusion: Config of the fusion of masks into results.
        train_vocabulary: Packaged name, path or list; the classes of the annotation.
        test_vocabulary: The same for inference; None means ``train_vocabulary``.
        data_preprocessor: Config of the preprocessor.
        presence_filter: Config of a filter of names, a ``PresenceFilter`` unless it has
            another ``type``; None reads all names. See :meth:`set_presence_filter`.
        init_cfg: MMEngine's initialization config.
        other: ``pretrained``, ``train_cfg``, ``test_cfg`` and ``decode_head``, which
            mmseg's tools add: None, as they have no meaning here. (``decode_head`` may
            be ``dict(type=...)`` alone, which mmseg's get_flops.py reads.)

    Raises:
        ValueError: If the criterion is a loss of another package, there is no text
            classifier in a model that needs one, or one of the other arguments says
            something.

    Attributes:
        vocabulary: The classes that :meth:`predict` finds unless it is told others.
        plain: Whether calls of the model run the plain form of every operation; see
            :func:`mmovseg.models.ops.plain`.
        execution: How :meth:`predict_masks` runs the network. None is the model's own
            way. The fast mode puts its own here, and changes nothing else of the
            class.
        presence_filter: What leaves out names, or None.
        needs_names: Whether models of this class have a text classifier.
        resize_example: Brings an example to the size that photos have, from BGR uint8
            ``[H, W, 3]`` to ``[3, h, w]``; None leaves it as it is. ``init_model``
            puts the test pipeline here.
    """

    vocabulary: Vocabulary
    needs_names = True
    plain = False
    execution: Execution | None = None
    presence_filter: Any = None
    resize_example: Callable[[Any], Tensor] | None = None

    def __init__(
        self,
        text_classifier: dict | None = None,
        *,
        criterion: dict | None,
        fusion: dict,
        train_vocabulary: str | Sequence[str],
        test_vocabulary: str | Sequence[str] | None = None,
        data_preprocessor: dict | None = None,
        presence_filter: dict | None = None,
        init_cfg: dict | None = None,
        **other: Any,
    ) -> None:
        _check_other(type(self), other)
        super().__init__(data_preprocessor, init_cfg)
        self.execution = None
        self.presence_filter = _build_filter(presence_filter)
        self.text_classifier: Any = None
        if text_classifier is None and self.needs_names:
            raise ValueError(
                f'{type(self).__name__} compares masks with names, so it needs a text '
                "classifier: text_classifier=dict(type='TextClassifier', "
                'model_name=..., pretrained=...).'
            )
        if text_classifier is not None:
            self.text_classifier = MODELS.build(text_classifier)
        self.criterion: Any = None
        if criterion is not None:
            self.criterion = build_criterion(criterion, type(self).__name__)
        self.fusion = MODELS.build(fusion)
        self.train_vocabulary = Vocabulary.load(train_vocabulary)
        self.set_vocabulary(
            train_vocabulary if test_vocabulary is None else test_vocabulary
        )

    def set_vocabulary(
        self, vocabulary: Vocabulary | str | Path | Sequence[str]
    ) -> None:
        """Choose the classes that :meth:`predict` finds, from the next call on.

        Args:
            vocabulary: A vocabulary, a packaged name, a path or a list of names. Parts
                with a text classifier of their own get it too.
        """
        self.vocabulary = loaded = Vocabulary.load(vocabulary)
        for part in self.modules():
            if part is not self and hasattr(part, 'set_vocabulary'):
                part.set_vocabulary(loaded)

    @property
    def out_channels(self) -> int:
        """K, for mmseg's tools."""
        return len(self.vocabulary)

    @property
    def fast_mode(self) -> Any:
        """What of the fast mode is on; None where it is off."""
        return None if self.execution is None else self.execution.mode

    @property
    def seen(self) -> Tensor:
        """Which classes of :attr:`vocabulary` were seen in training, ``[K]``."""
        return self._mark_seen(self.vocabulary)

    def _mark_seen(self, vocabulary: Vocabulary) -> Tensor:
        seen = _seen_in(vocabulary, self.train_vocabulary)
        return ops.to_device_async(seen, next(self.parameters()).device, torch.bool)

    def find_seen(self, text: TextEmbeddings) -> Tensor:
        """Return which classes were in the training vocabulary, bool, ``[K]``.

        Args:
            text: From :meth:`encode_vocabulary`. Embeddings made otherwise may not
                say; they are taken for those of the model's own vocabulary.

        Raises:
            ValueError: If these cannot be of the model's own vocabulary.
        """
        if text.seen is not None:
            return text.seen
        if text.num_classes not in (None, len(self.vocabulary)):
            raise ValueError(
                f'Text embeddings of {text.num_classes} classes do not say which were '
                f'seen in training, and the model has {len(self.vocabulary)} classes: '
                'take them from model.encode_vocabulary(vocabulary), or give seen.'
            )
        return self.seen

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

    def encode_vocabulary(self, vocabulary: Vocabulary) -> TextEmbeddings:
        """Turn a vocabulary into what travels with a call.

        Args:
            vocabulary: K classes with V names in all.

        Returns:
            Rows ``[V + 1, D]``; of a model that names nothing ``[V + 1, 0]``.

        Raises:
            ValueError: If there are examples, and the model is in training mode or
                cannot use them.
        """
        seen = self._mark_seen(vocabulary)
        if self.text_classifier is not None:
            text = self.text_classifier(vocabulary)._replace(seen=seen)
            return self._add_examples(text, vocabulary) if vocabulary.examples else text
        num_classes = len(vocabulary)
        classes = (*vocabulary.class_ids, num_classes)
        rows = torch.empty(len(classes), 0, device=seen.device)
        class_ids = ops.to_device_async(classes, seen.device, torch.int64)
        return TextEmbeddings(rows, class_ids, num_classes, seen)

    def embed_example(
        self, inputs: Tensor, masks: Tensor, text: TextEmbeddings
    ) -> RegionEmbeds:
        """Embed the object of an example in the space of the names.

        Args:
            inputs: The image, normalized and padded, ``[1, 3, H, W]``.
            masks: 1 on the object, -1 elsewhere in the image, and 0 in the padding,
                ``[1, 1, H, W]``.
            text: The names alone.

        Raises:
            ValueError: If the model cannot.
        """
        raise ValueError(
            f'{type(self).__name__} cannot learn from examples: give it names alone.'
        )

    @torch.no_grad()
    def _add_examples(
        self, text: TextEmbeddings, vocabulary: Vocabulary
    ) -> TextEmbeddings:
        """Mix what the model sees in the examples of classes with their names."""
        if self.training:
            raise ValueError(
                'Examples are for inference: train with a vocabulary of names alone.'
            )
        # Other weights see other things.
        state = tuple(
            (x.data_ptr(), x.dtype, 0 if x.is_inference() else x._version)
            for x in self.parameters()
        )
        key = (vocabulary.fingerprint, state)
        known = self.__dict__.setdefault('_example_rows', {})
        if key not in known:
            seen = [
                [self.see_example(x, text) for x in group]
                for group in vocabulary.examples
            ]
            warn_of_unseen(vocabulary.names, seen)
            rows = move_rows(text.weight, text.class_ids, seen)
            while len(known) >= MAX_EXAMPLE_ROWS:
                known.pop(next(iter(known)), None)
            known[key] = rows
        weight, clip = known[key]
        return text._replace(weight=weight, clip=clip)

    def see_example(self, example: Example, text: TextEmbeddings) -> RegionEmbeds:
        """Embed an example, resized as photos are; see :meth:`embed_example`."""
        image, mask = decode_example(example)
        if self.resize_example is not None:
            image = self.resize_example(image.permute(1, 2, 0).numpy())
        size = (image.shape[-2], image.shape[-1])
        sample = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size))
        data = self.data_preprocessor(
            dict(inputs=[image], data_samples=[sample]), False
        )
        inputs = data['inputs']
        masks = F.interpolate(mask[None, None].float(), size, mode='area') * 2 - 1
        padding = (0, inputs.shape[-1] - size[1], 0, inputs.shape[-2] - size[0])
        masks = F.pad(masks, padding).to(inputs)
        return self.embed_example(inputs, masks, text)

    def embed(self, vocabulary: Vocabulary) -> TextEmbeddings:
        """Call :meth:`encode_vocabulary`, which had this name."""
        return self.encode_vocabulary(vocabulary)

    def drop_text_tower(self) -> None:
        """Encode the vocabulary of inference, then free the memory of the text tower.

        Weights and vocabulary must be there before. Afterwards other vocabularies can
        be used only if they are cached.
        """
        if self.text_classifier is not None:
            self.text_classifier.encode(self.vocabulary)
            self.text_classifier.drop_text_tower()

    def set_presence_filter(self, presence_filter: dict | None) -> None:
        """Choose how :meth:`predict` leaves out names that an image does not show.

        Args:
            presence_filter: As in the constructor; None reads all names again.

        Raises:
            ValueError: If CLIP does not see the image before the names are read, or
                the network is compiled.
        """
        built = _build_filter(presence_filter)
        if built is not None:
            self.check_presence_filter()
        self.presence_filter = built

    def check_presence_filter(self) -> None:
        """Raise a ValueError where names cannot be left out image by image."""
        name = type(self).__name__
        if not self.embeds_parts:
            raise ValueError(
                f'{name} cannot leave out names: no CLIP of it sees the image before '
                'the names are read. Set presence_filter=None.'
            )
        if getattr(self.fast_mode, 'compile', False):
            raise ValueError(
                'A presence filter reads another number of names for each image, which '
                "a compiled program cannot: leave 'compile' out of the fast mode, or "
                'set presence_filter=None.'
            )

    @property
    def embeds_parts(self) -> bool:
        """Whether :meth:`embed_parts` works, which a presence filter needs."""
        return False

    @property
    def keeps_features(self) -> bool:
        """Whether :meth:`predict` takes features that :meth:`extract_feat` has made.

        Not in the fast mode, which runs the network as a whole, nor if a subclass has
        another :meth:`segment` alone.
        """
        extracts = _find_owner(type(self), 'extract_feat')
        return (
            self.execution is None
            and extracts is not OVSegmentor
            and issubclass(extracts, _find_owner(type(self), 'segment'))
        )

    def extract_feat(self, inputs: Tensor) -> Any:
        """Compute what does not depend on the names; :meth:`segment` takes it.

        Args:
            inputs: Normalized, padded images, ``[B, 3, H, W]``.
        """
        raise NotImplementedError

    def embed_parts(self, inputs: Tensor, features: Any, cut: Any) -> Tensor:
        """Embed parts of images in CLIP's space, ``[B, R, D]``.

        Args:
            inputs: Normalized, padded images, ``[B, 3, H, W]``.
            features: From :meth:`extract_feat`.
            cut: Makes the parts of a map; see :meth:`PresenceFilter.parts`.
        """
        raise NotImplementedError

    @abstractmethod
    def segment(
        self, inputs: Tensor, text: TextEmbeddings, features: Any = None
    ) -> list[MaskPrediction]:
        """Predict masks and class logits.

        Args:
            inputs: Normalized, padded images, ``[B, 3, H, W]``.
            text: The vocabulary.
            features: From :meth:`extract_feat`, if it has run.

        Returns:
            One prediction per supervised stage, best last; at inference only the
            last counts.
        """

    def test_step(self, data: dict | tuple | list, **options: Any) -> list:
        """Predict a batch as the data loader gives it.

        Args:
            data: Images and data samples, not yet normalized and padded.
            options: ``vocabulary`` and ``results`` of :meth:`predict`, for this call.
        """
        data = self.data_preprocessor(data, False)
        if isinstance(data, dict):
            return self(**data, mode='predict', **options)
        return self(*data, mode='predict', **options)

    def forward(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        mode: str = 'tensor',
        **options: Any,
    ) -> dict[str, Tensor] | list | MaskPrediction:
        """Run in one of MMEngine's modes.

        Args:
            inputs: Normalized, padded images, ``[B, 3, H, W]``.
            data_samples: mmdet's or mmseg's data samples, one per image.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.
            options: See :meth:`predict`; of that mode only.

        Returns:
            Losses by name, data samples with results, or the raw prediction.

        Raises:
            ValueError: If the mode is another one.
        """
        with ops.plain(self.plain):
            if mode == 'loss':
                return self.loss(inputs, data_samples, **options)
            if mode == 'predict':
                return self.predict(inputs, data_samples, **options)
            if mode == 'tensor':
                text = self.encode_vocabulary(self.vocabulary)
                return self.segment(inputs, text, **options)[-1]
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}.")

    def loss(self, inputs: Tensor, data_samples: list | None) -> dict[str, Tensor]:
        """Compute the losses of all stages, by name, already weighted."""
        text = self.encode_vocabulary(self.train_vocabulary)
        size = inputs.shape[-2:]
        targets = collect_targets(data_samples or [], self.train_vocabulary, size)
        return self.criterion(self.segment(inputs, text), targets)

    def predict(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        *,
        vocabulary: Vocabulary | None = None,
        results: Sequence[str] | None = None,
        features: Any = None,
    ) -> list:
        """Segment a batch into data samples with the fusion's results.

        Args:
            inputs: Normalized, padded images, ``[B, 3, H, W]``.
            data_samples: One per image, or None.
            vocabulary: The classes; None takes :attr:`vocabulary` as it is now.
            results: What the fusion makes; None takes what it has switched on.
            features: What :meth:`extract_feat` has made of ``inputs``, which are then
                of a single image.
        """
        vocabulary = self.vocabulary if vocabulary is None else vocabulary
        text = self.encode_vocabulary(vocabulary)
        padded = (inputs.shape[-2], inputs.shape[-1])
        # Without a divisor nobody padded to one, and the batch stays as it is.
        divisor = getattr(self.data_preprocessor, 'pad_size_divisor', max(padded))
        sizes = image_sizes(data_samples, padded, len(inputs))
        predicted: list = [None] * len(inputs)
        for size, members in group_by_padding(sizes, padded, divisor).items():
            group = inputs[members][..., : size[0], : size[1]].contiguous()
            samples = data_samples and [data_samples[i] for i in members]
            if features is None:
                masks = self.predict_masks(group, text, samples)
            else:
                masks = self._segment_again(group, text, features)
            done = self.fusion(masks, samples, vocabulary, size, results)
            for index, sample in zip(members, done, strict=True):
                predicted[index] = sample
        return predicted

    def predict_masks(
        self, inputs: Tensor, text: TextEmbeddings, data_samples: list | None = None
    ) -> MaskPrediction:
        """Predict images of one padded size, in the way that :attr:`execution` says.

        Args:
            inputs: Normalized, padded images, ``[B, 3, H, W]``.
            text: The vocabulary.
            data_samples: One per image, or None.
        """
        if self.presence_filter is not None:
            self.check_presence_filter()
        if self.execution is None:
            return self.segment_batch(inputs, text, data_samples)
        return self.execution(self, inputs, text, data_samples)

    def infer(
        self, inputs: Tensor, text: TextEmbeddings, data_samples: list | None = None
    ) -> MaskPrediction:
        """Call :meth:`predict_masks`, which had this name."""
        return self.predict_masks(inputs, text, data_samples)

    def segment_batch(
        self, inputs: Tensor, text: TextEmbeddings, data_samples: list | None
    ) -> MaskPrediction:
        """Predict images of one padded size, for a model that needs their own sizes.

        Args:
            inputs: Normalized, padded images, ``[B, 3, H, W]``.
            text: The vocabulary.
            data_samples: One per image, or None.
        """
        if self.presence_filter is None:
            return self.segment(inputs, text)[-1]
        # Every image has other names, so one goes after the other.
        return _join([self._segment_present(x, text) for x in inputs.split(1)])

    def _segment_again(
        self, image: Tensor, text: TextEmbeddings, features: Any
    ) -> MaskPrediction:
        """Predict one image whose features are there."""
        if self.presence_filter is not None:
            self.check_presence_filter()
            return self._segment_present(image, text, features)
        return self.segment(image, text, features)[-1]

    def _segment_present(
        self, image: Tensor, text: TextEmbeddings, features: Any = None
    ) -> MaskPrediction:
        """Predict one image ``[1, 3, H, W]`` with the names that may be in it."""
        features = self.extract_feat(image) if features is None else features
        parts = self.embed_parts(image, features, self.presence_filter.parts)
        scale = self.text_classifier.logit_scale.exp().clamp(max=100)
        present = self.presence_filter(parts[0], text.for_clip(), scale)
        prediction = self.segment(image, text.keep(present), features)[-1]
        left_out = torch.cat([~present, present.new_zeros(1)])
        return prediction._replace(
            class_logits=prediction.class_logits.masked_fill(left_out, -torch.inf),
            present=present[None],
        )


def _find_owner(kind: type, name: str) -> type:
    """Return the class that defines a method of another one."""
    return next(x for x in kind.__mro__ if name in vars(x))


def _check_other(model: type, other: dict[str, Any]) -> None:
    """Refuse arguments that are not known, or would be ignored."""
    for name, value in other.items():
        if name not in ('pretrained', 'train_cfg', 'test_cfg', 'decode_head'):
            raise TypeError(f'{model.__name__} has no argument {name!r}.')
        if name == 'decode_head' and value is not None and set(value) == {'type'}:
            continue
        if value is not None:
            raise ValueError(
                f'{name} means nothing to {model.__name__}, got {value!r}: leave it '
                'out. (Thresholds are arguments of the fusion, weights come from '
                'pretrained of each CLIP and from the checkpoint.)'
            )


def _build_filter(config: dict | None) -> Any:
    """Build a presence filter; None without one."""
    if config is None:
        return None
    return MODELS.build(config, default_args=dict(type='PresenceFilter'))


def _join(predictions: Sequence[MaskPrediction]) -> MaskPrediction:
    """Put the predictions of single images into one batch."""
    first = predictions[0]
    return first._replace(
        **{
            name: torch.cat([getattr(x, name) for x in predictions])
            for name, value in first._asdict().items()
            if value is not None
        }
    )


@lru_cache(maxsize=16)
def _seen_in(vocabulary: Vocabulary, train: Vocabulary) -> tuple[bool, ...]:
    """Compare the names of two vocabularies once, not in every call."""
    return vocabulary.seen_in(train)


def image_sizes(
    data_samples: Sequence | None, padded: tuple[int, int], count: int
) -> list[tuple[int, int]]:
    """Return height and width of each image of a batch, without padding."""
    if not data_samples:
        return [padded] * count
    shapes = [sample.metainfo.get('img_shape', padded) for sample in data_samples]
    return [(shape[0], shape[1]) for shape in shapes]


def group_by_padding(
    sizes: Sequence[tuple[int, int]], padded: tuple[int, int], divisor: int
) -> dict[tuple[int, int], list[int]]:
    """Group the images of a batch by the padded size that each needs on its own.

    Padding takes part in every sum of the network, so an image gets no more of it in a
    batch than alone, and the same result.

    Args:
        sizes: Height and width of each image.
        padded: Height and width of the batch.
        divisor: An image alone is padded to multiples of this.

    Returns:
        Indices of images by their padded size.

    Example:
        >>> group_by_padding([(30, 64), (60, 64), (32, 50)], (64, 64), 32)
        {(32, 64): [0, 2], (64, 64): [1]}
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for index, (height, width) in enumerate(sizes):
        rows = min(-(-height // divisor) * divisor, padded[0])
        columns = min(-(-width // divisor) * divisor, padded[1])
        groups.setdefault((rows, columns), []).append(index)
    return groups
