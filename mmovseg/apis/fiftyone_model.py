"""A model for FiftyOne: labels for a whole dataset by ``apply_model``.

    import fiftyone
    import mmovseg
    from mmovseg.apis.fiftyone_model import FiftyOneModel

    dataset = fiftyone.Dataset.from_images_dir('photos')
    model = FiftyOneModel(mmovseg.load(), 'cat; kitten, cup, stuff: table')
    dataset.apply_model(model, label_field='found', batch_size=4)

Needs FiftyOne: pip install 'mmovseg[fiftyone]'.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..vocabulary import Vocabulary
from .images import ImageError
from .inferencer import OVSegInferencer
from .results import TASKS, Result, check_limits

try:
    from fiftyone.core import labels as kinds
    from fiftyone.core.models import Model
except ImportError:
    kinds, Model = None, object


class FiftyOneModel(Model):
    """Segment the photos of a FiftyOne dataset into classes given by name.

    Panoptic and instance results are ``Detections`` with masks; each has ``isthing``.
    Semantic results are a ``Segmentation``, whose values are in :attr:`mask_targets`.

    Args:
        inferencer: The model.
        vocabulary: The classes, as in :meth:`OVSegInferencer.segment`. None takes those
            of the model.
        task: ``'panoptic'``, ``'instance'`` or ``'semantic'``.
        score_thr: See :func:`read_result`. ``confidence_thresh`` of ``apply_model``
            drops what it asks to drop.
        min_area: The same.

    Raises:
        ImportError: If FiftyOne is not installed.
        ValueError: If there is no such task, or a name is wrong.
    """

    def __init__(
        self,
        inferencer: OVSegInferencer,
        vocabulary: Vocabulary | str | Path | Sequence[str] | None = None,
        *,
        task: str = 'panoptic',
        score_thr: float | None = None,
        min_area: float = 0.0,
    ) -> None:
        if kinds is None:
            raise ImportError(
                "FiftyOneModel needs FiftyOne: pip install 'mmovseg[fiftyone]'."
            )
        if task not in TASKS:
            raise ValueError(f'task must be one of {TASKS}, got {task!r}.')
        check_limits(min_area, score_thr)
        if vocabulary is None:
            vocabulary = inferencer.model.vocabulary
        self.inferencer, self.vocabulary = inferencer, Vocabulary.from_user(vocabulary)
        self.task, self.score_thr, self.min_area = task, score_thr, min_area

    @property
    def mask_targets(self) -> dict[int, str]:
        """Names by the values of semantic masks; 0 is none."""
        return dict(enumerate(self.vocabulary.names, 1))

    @property
    def media_type(self) -> str:
        """The kind of samples, for FiftyOne."""
        return 'image'

    @property
    def ragged_batches(self) -> bool:
        """Photos of one batch may differ in size."""
        return False

    @property
    def transforms(self) -> None:
        """There are none: photos come as they are."""

    @property
    def preprocess(self) -> bool:
        """Whether transforms are applied; there are none."""
        return False

    @preprocess.setter
    def preprocess(self, value: bool) -> None:
        """Take what FiftyOne sets."""

    def predict(self, arg: np.ndarray) -> Any:
        """Segment a photo, ``[H, W, 3]`` uint8, RGB."""
        return self.predict_all([arg])[0]

    def predict_all(self, args: Iterable[np.ndarray]) -> list[Any]:
        """Segment photos together.

        Raises:
            ImageError: If one cannot be used.
        """
        photos = [_to_bgr(photo) for photo in args]
        labels: list[Any] = [None] * len(photos)

        def handle(index: int, result: Result) -> None:
            labels[index] = self._to_label(result)

        errors = self.inferencer.for_each(
            photos,
            handle,
            max(len(photos), 1),
            vocabulary=self.vocabulary,
            task=self.task,
            score_thr=self.score_thr,
            min_area=self.min_area,
        )
        if errors:
            raise ImageError(errors[0]['message'])
        return labels

    def _to_label(self, result: Result) -> Any:
        if self.task == 'semantic':
            count = len(self.vocabulary)
            kind = np.uint8 if count < 256 else np.uint16
            return kinds.Segmentation(mask=(result.label_map + 1).astype(kind))
        height, width = result.label_map.shape
        detections = []
        for segment, mask in zip(result.segments, result.masks(), strict=True):
            x, y, w, h = segment.box
            detections.append(
                kinds.Detection(
                    label=segment.name,
                    bounding_box=[x / width, y / height, w / width, h / height],
                    mask=mask[y : y + h, x : x + w],
                    confidence=segment.score,
                    isthing=segment.isthing,
                )
            )
        return kinds.Detections(detections=detections)


def _to_bgr(photo: np.ndarray) -> np.ndarray:
    """Exchange red and blue, if there are colors."""
    photo = np.asarray(photo)
    if photo.ndim != 3 or photo.shape[-1] not in (3, 4):
        return photo
    return np.ascontiguousarray(photo[..., [2, 1, 0, 3][: photo.shape[-1]]])
