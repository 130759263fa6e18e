"""Reading label maps, and which of their classes are seen; for the metrics."""

from __future__ import annotations

import os.path as osp
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from ..datasets.panoptic_format import PanopticAnnotations, read_segment_ids
from ..fileio import did_you_mean
from ..vocabulary import Vocabulary, name_key


class HasImageId(Protocol):
    """What a metric keeps of one image."""

    image_id: Any


ResultT = TypeVar('ResultT', bound=HasImageId)


def to_map(field: Mapping) -> np.ndarray:
    """Take the ``[H, W]`` map out of a field of mmdet (sem_seg) or mmseg (data)."""
    tensor = field['sem_seg'] if 'sem_seg' in field else field['data']
    return tensor.detach().cpu().numpy().reshape(tensor.shape[-2:])


def one_per_image(results: Iterable[ResultT]) -> list[ResultT]:
    """Drop the repetitions with which a distributed sampler fills up.

    Samples without id or path (None) cannot be told apart, and all count.
    """
    images: dict[Hashable, ResultT] = {
        index if item.image_id is None else (item.image_id,): item
        for index, item in enumerate(results)
    }
    return list(images.values())


def find_seen(seen: str | Sequence[str], class_names: Sequence[str]) -> np.ndarray:
    """Tell which classes of a data set were in training.

    Args:
        seen: Vocabulary of the seen classes; its first names are looked up.
        class_names: Names of all classes, K of them, in label order.

    Returns:
        True for seen classes, ``[K]``.

    Raises:
        ValueError: If a seen class is no class of the data set, or all are seen.
    """
    names = Vocabulary.load(seen).names
    keys = list(map(name_key, class_names))
    unknown = [name for name in names if name_key(name) not in keys]
    if unknown:
        hint = did_you_mean(unknown[0], class_names)
        raise ValueError(
            f'{len(unknown)} of {len(names)} seen classes are no classes of the data '
            f'set: {", ".join(map(repr, unknown[:5]))}.{hint} Its {len(class_names)} '
            f'classes are {", ".join(class_names[:5])}, ...'
        )
    mask = np.isin(keys, list(map(name_key, names)))
    if mask.all():
        raise ValueError(
            f'All {len(class_names)} classes of the data set are seen, so there is '
            'nothing to tell apart; leave `seen` out.'
        )
    return mask


def harmonic_mean(seen: float, unseen: float) -> float:
    """Give the harmonic mean of two scores: 0 if one is 0, nan if one is nan."""
    return 2 * seen * unseen / (seen + unseen) if seen or unseen else 0.0


class GroundTruthMaps:
    """Class maps of the annotation, from panoptic files or from the samples.

    Args:
        ann_file: Panoptic JSON; crowds count. None: ``gt_sem_seg`` of the sample.
        seg_prefix: Folder of its PNGs.
        ignore_index: Value of unlabelled pixels in ``gt_sem_seg``, besides all values
            from the number of classes on. None: what the sample says, if anything.
        backend_args: Storage backend of JSON and PNGs, as in ``mmengine.fileio``.

    Raises:
        ValueError: If only one of ``ann_file`` and ``seg_prefix`` is given.
    """

    def __init__(
        self,
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
        self.annotations = (
            PanopticAnnotations.load(ann_file, backend_args) if ann_file else None
        )
        self.seg_prefix = seg_prefix
        self.ignore_index = ignore_index
        self.backend_args = backend_args

    def class_names(self, dataset_meta: Mapping | None) -> tuple[str, ...]:
        """Give the class names, from the JSON or else from the data set."""
        if self.annotations is not None:
            return self.annotations.names
        return tuple((dataset_meta or {})['classes'])

    def read(self, sample: Mapping, num_classes: int) -> np.ndarray:
        """Give the class of every pixel, ``num_classes`` where there is none.

        Returns:
            The map, ``[H, W]`` int64.

        Raises:
            KeyError: If the image is not in the JSON, or has no ``gt_sem_seg``.
        """
        if self.annotations is not None:
            return self._paint(sample, num_classes)
        if 'gt_sem_seg' not in sample:
            raise KeyError(
                f'{sample.get("img_path")} has no gt_sem_seg: load annotations in '
                'the pipeline, or give ann_file and seg_prefix.'
            )
        field = sample['gt_sem_seg']
        labels = to_map(field).astype(np.int64)
        ignore_index = self.ignore_index
        if ignore_index is None:
            ignore_index = field.get('ignore_index', num_classes)
        ignored = (labels == ignore_index) | (labels < 0) | (labels >= num_classes)
        return np.where(ignored, num_classes, labels)

    def _paint(self, sample: Mapping, num_classes: int) -> np.ndarray:
        annotations = self.annotations
        if sample['img_id'] not in annotations.images:
            raise KeyError(f'Image {sample["img_id"]!r} is not in the panoptic JSON.')
        image = annotations.images[sample['img_id']]
        ids = read_segment_ids(
            osp.join(self.seg_prefix, image.png_name), self.backend_args
        )
        labels = np.full(ids.shape, num_classes, np.int64)
        for segment in image.segments:
            labels[ids == segment['id']] = annotations.labels[segment['category_id']]
        return labels


def check_prediction(
    sample: Mapping, predicted: np.ndarray, annotated: np.ndarray, num_classes: int
) -> None:
    """Refuse a label map that does not fit its annotation.

    Args:
        sample: The data sample with ``pred_sem_seg``.
        predicted: Its map.
        annotated: The map of the ground truth.
        num_classes: Of the data set.

    Raises:
        ValueError: If size or number of classes differ.
    """
    names = sample['pred_sem_seg'].get('label_names')
    if names is not None and len(names) != num_classes:
        raise ValueError(
            f'The model predicts {len(names)} classes, the data set has '
            f'{num_classes}: set the vocabulary of the data set.'
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
