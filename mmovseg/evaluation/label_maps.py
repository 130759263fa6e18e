"""Read label maps for the metrics, and tell which of their classes are seen."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..fileio import did_you_mean
from ..formats.panoptic_format import PanopticAnnotations, split_segments
from ..vocabulary import Vocabulary, name_key
from .samples import ResultT, check_photo, one_per_image, take, to_map

# What files use for pixels without annotation.
VOID_VALUES = (-1, 255, 65535)


def find_seen(seen: str | Sequence[str], class_names: Sequence[str]) -> np.ndarray:
    """Tell which classes of a dataset were in training.

    Args:
        seen: Vocabulary of the seen classes; its first names are looked up.
        class_names: Names of all classes, K of them, in label order.

    Returns:
        True for seen classes, ``[K]``.

    Raises:
        ValueError: If a seen class is no class of the dataset, or all are seen.
    """
    names = Vocabulary.load(seen).names
    keys = list(map(name_key, class_names))
    unknown = [name for name in names if name_key(name) not in keys]
    if unknown:
        hint = did_you_mean(unknown[0], class_names)
        raise ValueError(
            f'{len(unknown)} of {len(names)} seen classes are no classes of the '
            f'dataset: {", ".join(map(repr, unknown[:5]))}.{hint} Its '
            f'{len(class_names)} classes are {", ".join(class_names[:5])}, ...'
        )
    mask = np.isin(keys, list(map(name_key, names)))
    if mask.all():
        raise ValueError(
            f'All {len(class_names)} classes of the dataset are seen, so there is '
            'nothing to tell apart; leave `seen` out.'
        )
    return mask


def harmonic_mean(seen: float, unseen: float) -> float:
    """Give the harmonic mean of two scores: 0 if one is 0, nan if one is nan."""
    return 2 * seen * unseen / (seen + unseen) if seen or unseen else 0.0


class GroundTruthMaps:
    """Class maps of the annotation, from panoptic files or from the samples.

    Args:
        metric: Name of the metric, for messages.
        ann_file: Panoptic JSON; crowds count. None: ``gt_sem_seg`` of the sample.
        seg_prefix: Folder of its PNGs.
        ignore_index: Value of unlabeled pixels in ``gt_sem_seg``, besides all values
            from the number of classes on. None: what the sample says, if anything.
        backend_args: Storage backend of JSON and PNGs, as in ``mmengine.fileio``.

    Raises:
        ValueError: If only one of ``ann_file`` and ``seg_prefix`` is given.
    """

    def __init__(
        self,
        metric: str,
        ann_file: str | None = None,
        seg_prefix: str | None = None,
        *,
        ignore_index: int | None = None,
        backend_args: dict | None = None,
    ) -> None:
        if (ann_file is None) != (seg_prefix is None):
            raise ValueError(
                'ann_file and seg_prefix go together, got '
                f'ann_file={ann_file!r}, seg_prefix={seg_prefix!r}.'
            )
        self.metric = metric
        self._paths: dict[Any, str | None] = {}
        self._has_warned = False
        self.annotations = (
            PanopticAnnotations.load(ann_file, backend_args) if ann_file else None
        )
        self.seg_prefix = seg_prefix
        self.ignore_index = ignore_index
        self.backend_args = backend_args

    def class_names(self, dataset_meta: Mapping | None) -> tuple[str, ...]:
        """Give the class names, from the JSON or else from the dataset.

        Raises:
            KeyError: If neither has names.
        """
        if self.annotations is not None:
            return self.annotations.names
        names = (dataset_meta or {}).get('classes')
        if not names:
            raise KeyError(
                f'{self.metric} needs class names: the dataset has no metainfo '
                '"classes". Give it some, or give ann_file and seg_prefix.'
            )
        return tuple(names)

    def image_of(self, sample: Mapping) -> tuple[Any, str | None]:
        """Give the id and path of an image.

        Raises:
            KeyError: If the JSON is asked for an image without id.
            ValueError: If it is asked for two photos of one id.
        """
        if self.annotations is not None:
            return check_photo(self._paths, sample, self.metric)
        return sample.get('img_id'), sample.get('img_path')

    def one_per_image(self, results: Iterable[ResultT]) -> list[ResultT]:
        """Drop repetitions; see :func:`.samples.one_per_image`."""
        return one_per_image(results, is_id_unique=self.annotations is not None)

    def read(self, sample: Mapping, num_classes: int) -> np.ndarray:
        """Give the class of every pixel, ``num_classes`` where there is none.

        Returns:
            The map, ``[H, W]`` int64.

        Raises:
            KeyError: If the image is not in the JSON, or has no ``gt_sem_seg``.
            ValueError: If JSON and PNG disagree.
        """
        if self.annotations is not None:
            image_id = take(sample, 'img_id', self.metric)
            return self._paint(self.annotations, image_id, num_classes)
        field = take(sample, 'gt_sem_seg', self.metric)
        labels = to_map(field, sample.get('img_path')).astype(np.int64)
        ignore_index = self.ignore_index
        if ignore_index is None:
            ignore_index = field.get('ignore_index', num_classes)
        outside = (labels < 0) | (labels >= num_classes)
        self._warn_of_strange(sample, labels[outside], ignore_index)
        return np.where(outside | (labels == ignore_index), num_classes, labels)

    def _warn_of_strange(
        self, sample: Mapping, values: np.ndarray, ignore_index: int
    ) -> None:
        """Say once that values are not scored which do not look like void."""
        if self._has_warned:
            return
        strange = values[~np.isin(values, (*VOID_VALUES, ignore_index))]
        if strange.size:
            self._has_warned = True
            print_log(
                f'{self.metric}: the annotation of {sample.get("img_path")} has values '
                f'that are no class, such as {strange[0]}; such pixels are not scored.',
                logger='current',
                level=logging.WARNING,
            )

    def _paint(
        self, annotations: PanopticAnnotations, image_id: Any, num_classes: int
    ) -> np.ndarray:
        image = annotations.find(image_id)
        folder = self.seg_prefix or ''
        path, ids = annotations.read_png(image, folder, self.backend_args)
        labels = np.full(ids.shape, num_classes, np.int64)
        masks = split_segments(path, ids, [segment['id'] for segment in image.segments])
        for mask, segment in zip(masks, image.segments, strict=True):
            labels[mask] = annotations.labels[segment['category_id']]
        return labels


class LabelMapMetric(BaseMetric):
    """Base of metrics against class maps; arguments as of :class:`.SemanticMetric`."""

    def __init__(
        self,
        *ground_truth: Any,
        seen: str | Sequence[str] | None,
        collect_device: str,
        prefix: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        name = type(self).__name__
        self.ground_truth = GroundTruthMaps(name, *ground_truth, **kwargs)
        self.seen = seen

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Take the class names, and check the split before anything is computed."""
        BaseMetric.dataset_meta.fset(self, dataset_meta)
        self.find_seen()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names, from the JSON or else from the dataset."""
        return self.ground_truth.class_names(self.dataset_meta)

    def find_seen(self) -> np.ndarray | None:
        """Tell which classes are seen, ``[K]`` bool; None without ``seen``.

        Raises:
            ValueError: See :func:`find_seen`.
        """
        return None if self.seen is None else find_seen(self.seen, self.class_names)


def check_prediction(
    sample: Mapping, predicted: np.ndarray, annotated: np.ndarray, num_classes: int
) -> None:
    """Refuse a label map that does not fit its annotation.

    Args:
        sample: The data sample with ``pred_sem_seg``.
        predicted: Its map.
        annotated: The map of the ground truth.
        num_classes: Of the dataset.

    Raises:
        ValueError: If size or number of classes differ.
    """
    names = sample['pred_sem_seg'].get('label_names')
    if names is not None and len(names) != num_classes:
        raise ValueError(
            f'The model predicts {len(names)} classes, the dataset has '
            f'{num_classes}: set the vocabulary of the dataset.'
        )
    check_size(sample, 'prediction', predicted.shape, annotated.shape)


def check_size(
    sample: Mapping, what: str, size: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    """Refuse results of another size than the annotation.

    Raises:
        ValueError: With the image, what it is, and both sizes.
    """
    if size != expected:
        raise ValueError(
            f'The {what} for {sample.get("img_path")} is {size} (height, width), its '
            f'annotation is {expected}. A pipeline that resizes must load annotations '
            'after that.'
        )
