"""Panoptic quality, computed while the model runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable

from ..formats.panoptic_format import PanopticAnnotations, check_segment_ids
from ..registry import METRICS
from .label_maps import find_seen, harmonic_mean
from .name_similarity import read_similarity
from .samples import check_photo, one_per_image, take, to_map

DEFAULT_DIVISOR = 1000  # mmdet's INSTANCE_OFFSET


@dataclass(frozen=True)
class SegmentTable:
    """The segments of one map, in a fixed order."""

    ids: np.ndarray  # [n] values in the map, ascending
    labels: np.ndarray  # [n] class
    is_crowd: np.ndarray  # [n] bool


@dataclass(frozen=True)
class ImageStats:
    """Matches of one image, for the classes that occur in it."""

    image_id: Any
    labels: np.ndarray  # [c] class
    iou: np.ndarray  # [c] sum over true positives
    counts: np.ndarray  # [c, 3] true positives, false positives, false negatives
    img_path: str | None = None
    near: np.ndarray | None = None  # [c, 4] the same with credit for near names
    truth: None = None  # one JSON, one annotation of an image


def count_overlaps(
    ground_truth: np.ndarray, prediction: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count the pixels of every pair of values that occurs.

    Args:
        ground_truth: Values of at least 0, any shape.
        prediction: Values of at least 0, same shape.

    Returns:
        Ground truth value, predicted value and number of pixels of each pair, ``[p]``.
    """
    base = int(prediction.max(initial=0)) + 1
    pairs = ground_truth.astype(np.int64) * base + prediction
    pairs, pixels = np.unique(pairs, return_counts=True)
    return pairs // base, pairs % base, pixels


def match_segments(
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray],
    truth: SegmentTable,
    guess: SegmentTable,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match predicted with annotated segments by the rules of panoptic quality.

    A pair of one class matches when its IoU exceeds 0.5; VOID pixels of the ground
    truth do not count in the union. Crowds match nothing. A predicted segment that
    lies by more than half on VOID and crowds of its class is no false positive.

    Args:
        pairs: What :func:`count_overlaps` returns.
        truth: Annotated segments.
        guess: Predicted segments; pixels of other values are VOID.

    Returns:
        IoU of every annotated segment with its match, 0 without one, ``[n]``;
        whether it is missed, ``[n]``; whether a predicted segment is a false
        positive, ``[m]``.
    """
    overlap, on_void, iou = _compare_all(pairs, truth, guess)
    same_class = truth.labels[:, None] == guess.labels  # [n, m]
    iou[~same_class] = 0
    missed = ~truth.is_crowd & ~iou.any(1)
    wrong = ~iou.any(0) & _counts(overlap, on_void, truth, guess)
    return iou.sum(1), missed, wrong


def match_near(
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray],
    truth: SegmentTable,
    guess: SegmentTable,
    similarity: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Match segments of any class, and give credit for a name that is near.

    A pair of masks whose IoU exceeds 0.5 matches whatever its classes are. With
    similarity ``s`` of the two names it is ``s`` of a true positive, and ``1 - s`` of
    a missed and of a wrong segment. With 1 for equal names and 0 for others that is
    :func:`match_segments`.

    Args:
        pairs: What :func:`count_overlaps` returns.
        truth: Annotated segments.
        guess: Predicted segments.
        similarity: Of the classes, ``[K, K]``.

    Returns:
        IoU times credit, credit and missing credit of every annotated segment, ``[n,
        3]``; how far a predicted segment is a false positive, ``[m]``.

    Source: arXiv 2311.03352 for the idea of weighing matches by the similarity of
    names; how the rest is shared out is our reading.
    """
    overlap, on_void, iou = _compare_all(pairs, truth, guess)
    matched = iou > 0
    credit = np.where(matched, similarity[np.ix_(truth.labels, guess.labels)], 0.0)
    right = credit.sum(1)
    found = np.stack([(iou * credit).sum(1), right, ~truth.is_crowd * (1 - right)], 1)
    wrong = (1 - credit.sum(0)) * _counts(overlap, on_void, truth, guess)
    return found, wrong


def _counts(
    overlap: np.ndarray, on_void: np.ndarray, truth: SegmentTable, guess: SegmentTable
) -> np.ndarray:
    """Whether a predicted segment counts if it matches nothing, ``[m]``."""
    same_class = truth.labels[:, None] == guess.labels
    inner = overlap[:-1, :-1]
    on_crowd = np.where(same_class & truth.is_crowd[:, None], inner, 0).sum(0)
    return 2 * (on_void + on_crowd) <= overlap[:, :-1].sum(0)


def _compare_all(
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray],
    truth: SegmentTable,
    guess: SegmentTable,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return common pixels, ``[n + 1, m + 1]``, pixels on VOID, ``[m]``, and IoUs.

    IoUs ``[n, m]`` are 0 unless they exceed 0.5, and those of crowds are 0.
    """
    overlap = np.zeros((len(truth.ids) + 1, len(guess.ids) + 1), np.int64)
    # Last row: VOID of the ground truth. Last column: VOID of the prediction.
    rows = np.searchsorted(truth.ids, pairs[0])
    rows[~np.isin(pairs[0], truth.ids)] = -1
    columns = np.searchsorted(guess.ids, pairs[1])
    columns[~np.isin(pairs[1], guess.ids)] = -1
    np.add.at(overlap, (rows, columns), pairs[2])

    guess_area = overlap[:, :-1].sum(0)
    on_void = overlap[-1, :-1]
    inner = overlap[:-1, :-1]
    union = overlap[:-1].sum(1)[:, None] + guess_area - inner - on_void
    iou = np.where(~truth.is_crowd[:, None], inner / np.maximum(union, 1), 0)
    iou[iou <= 0.5] = 0  # above it, at most one in a row or column is left
    return overlap, on_void, iou


@METRICS.register_module()
class PanopticMetric(BaseMetric):
    """PQ, SQ and RQ over all classes, things and stuff, in percent.

    The definition is the official one (VOID pixels, crowds), computed in process and
    image by image; neither ``panopticapi`` nor files of predictions are needed, and
    only a few numbers per image are kept. Classes without any segment, annotated or
    wrongly predicted, do not enter the mean. Label ``i`` is the i-th category of the
    JSON.

    Reads ``pred_panoptic_seg``: ``sem_seg``, ``[1, H, W]`` at the size of the
    annotation, coded ``label + divisor * instance``. Two codings are understood:

    * mmdet's, without ``label_divisor`` in the metainfo: divisor 1000, a stuff
      segment has instance 0, VOID is ``ignore_index`` (default: number of classes).
    * That of ``MaskFusion``, with ``label_divisor``: every segment has an instance
      number of at least 1, so that values below the divisor are VOID. It survives
      ``mmdet.CocoPanopticMetric``, which sets VOID to 0 in the tensor it reads. With
      mmdet's coding list that metric last, or class 0 collects all VOID.

    With ``seen``, from the same matches (generalized zero-shot): PQ, SQ and RQ of the
    classes seen in training (``_seen``) and of the others (``_unseen``), and ``PQ_h``,
    the harmonic mean of the two PQs; 0 if one is 0.

    With ``similarity``, ``open_PQ``, ``open_SQ`` and ``open_RQ`` give part credit for
    near names, from the same masks; see :func:`match_near`.

    Crowds: the official code looks at one crowd of a class in an image only, this one
    at all of them; published sets have at most one.

    Images of the JSON without a prediction are not scored; their number is
    ``num_missing``.

    Args:
        ann_file: Panoptic JSON.
        seg_prefix: Folder of its PNGs.
        seen: Vocabulary of the classes seen in training: packaged name, path or list.
            Its first names are looked up among the names of the JSON.
        similarity: How near names are: ``'words'``, or a JSON file; see
            :func:`~mmovseg.evaluation.name_similarity.read_similarity`.
        classwise: Whether to log a table of all classes.
        backend_args: Storage backend of JSON and PNGs, as in ``mmengine.fileio``.
        collect_device: Where to gather results of several processes.
        prefix: Of the names of the results.

    Raises:
        FileNotFoundError: If the JSON is missing.
        ValueError: If it is no panoptic JSON, ``seen`` does not split its classes, or
            ``similarity`` does not fit them.
    """

    default_prefix = 'panoptic'
    conventions = {
        name + suffix: f'{what}; mean over {group} annotated or wrongly predicted'
        for name, what in (
            ('PQ', 'official, VOID and crowds excused'),
            ('SQ', 'as PQ: mean IoU of matches, 0 without one'),
            ('RQ', 'as PQ: F1 of segments'),
        )
        for suffix, group in (
            *(('', 'classes'), ('_th', 'things'), ('_st', 'stuff')),
            *(('_seen', 'classes seen in training'), ('_unseen', 'the other classes')),
        )
    }
    conventions |= {
        f'open_{name}{suffix}': f'{name} with part credit for near names'
        for name in ('PQ', 'SQ', 'RQ')
        for suffix in ('', '_th', '_st', '_seen', '_unseen')
    }
    conventions |= {
        'PQ_h': 'harmonic mean of PQ_seen and PQ_unseen',
        'num_missing': 'images of the JSON without prediction, not scored',
    }

    def __init__(
        self,
        ann_file: str,
        seg_prefix: str,
        *,
        seen: str | Sequence[str] | None = None,
        similarity: str | None = None,
        classwise: bool = False,
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.annotations = PanopticAnnotations.load(ann_file, backend_args)
        self.similarity = None
        if similarity is not None:
            self.similarity = read_similarity(similarity, self.annotations.names)
        self.is_seen = None
        if seen is not None:
            self.is_seen = find_seen(seen, self.annotations.names)
        self._paths: dict[Any, str | None] = {}
        self.seg_prefix = seg_prefix
        self.classwise = classwise
        self.backend_args = backend_args

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Compare a batch of predictions with their annotations.

        Raises:
            KeyError: If an image is not in the JSON, or a sample has no prediction.
            ValueError: If a prediction does not fit its annotation in size or in
                classes, JSON and PNG disagree, or two photos have one id.
        """
        for sample in data_samples:
            self.results.append(self._compare(sample))

    def _compare(self, sample: dict) -> ImageStats:
        name = type(self).__name__
        image_id, img_path = check_photo(self._paths, sample, name)
        image = self.annotations.find(image_id)
        path, ids = self.annotations.read_png(image, self.seg_prefix, self.backend_args)
        prediction = take(sample, 'pred_panoptic_seg', name)
        # A copy: the caller's stays.
        codes = to_map(prediction, image.file_name).astype(np.int64)
        if codes.min(initial=0) < 0:
            raise ValueError(
                f'The prediction for {image.file_name} has the negative value '
                f'{codes.min()}; code void as ignore_index.'
            )
        if codes.shape != ids.shape:
            raise ValueError(
                f'The prediction for {image.file_name} is {codes.shape} (height, '
                f'width), its annotation {path} is {ids.shape}.'
            )
        pairs = count_overlaps(ids, codes)
        truth = self._annotated_segments(path, np.unique(pairs[0]), image.segments)
        guess = self._predicted_segments(
            image.file_name, np.unique(pairs[1]), prediction
        )
        iou, missed, wrong = match_segments(pairs, truth, guess)
        labels = np.union1d(truth.labels, guess.labels)
        stats = np.zeros((len(labels), 3), np.int64)
        total = np.zeros(len(labels))
        at_truth = np.searchsorted(labels, truth.labels)
        np.add.at(total, at_truth, iou)
        np.add.at(stats[:, 0], at_truth, iou > 0)
        np.add.at(stats[:, 1], np.searchsorted(labels, guess.labels), wrong)
        np.add.at(stats[:, 2], at_truth, missed)
        near = None
        if self.similarity is not None:
            found, excess = match_near(pairs, truth, guess, self.similarity)
            near = np.zeros((len(labels), 4))
            np.add.at(near[:, :2], at_truth, found[:, :2])
            np.add.at(near[:, 2], np.searchsorted(labels, guess.labels), excess)
            np.add.at(near[:, 3], at_truth, found[:, 2])
        return ImageStats(image_id, labels, total, stats, img_path, near)

    def _annotated_segments(
        self, path: str, present: np.ndarray, segments: list[dict]
    ) -> SegmentTable:
        check_segment_ids(path, present, [segment['id'] for segment in segments])
        segments = sorted(segments, key=lambda segment: segment['id'])
        return SegmentTable(
            ids=np.array([segment['id'] for segment in segments], np.int64),
            labels=np.array(
                [
                    self.annotations.labels[segment['category_id']]
                    for segment in segments
                ],
                np.int64,
            ),
            is_crowd=np.array(
                [segment.get('iscrowd', 0) for segment in segments], bool
            ),
        )

    def _predicted_segments(
        self, file_name: str, codes: np.ndarray, prediction: dict
    ) -> SegmentTable:
        num_classes = len(self.annotations.categories)
        names = prediction.get('label_names')
        if names is not None and len(names) != num_classes:
            raise ValueError(
                f'The model predicts {len(names)} classes, the dataset has '
                f'{num_classes}: set the vocabulary of the dataset.'
            )
        ignore_index = prediction.get('ignore_index', num_classes)
        divisor = prediction.get('label_divisor')
        is_void = codes == ignore_index
        if divisor is not None:
            is_void |= codes < divisor
        else:
            divisor = DEFAULT_DIVISOR
            if num_classes >= divisor:
                raise ValueError(
                    f"mmdet's coding has room for {divisor - 1} classes, the dataset "
                    f'has {num_classes}: code label + divisor * instance with a larger '
                    'label_divisor in the metainfo, as MaskFusion does.'
                )
            is_void |= codes % divisor == num_classes
        codes = codes[~is_void]
        labels = codes % divisor
        if labels.max(initial=0) >= num_classes:
            raise ValueError(
                f'The prediction for {file_name} has label {labels.max()}, but the '
                f'dataset has {num_classes} classes (divisor {divisor}).'
            )
        return SegmentTable(codes, labels, np.zeros(len(codes), bool))

    def compute_metrics(self, results: list[ImageStats]) -> dict[str, float]:
        """Sum over images and average over classes.

        Args:
            results: One entry per image. Images that a distributed sampler repeated
                count once.

        Returns:
            ``PQ``, ``SQ``, ``RQ`` (also ``_th``, ``_st``, and with ``seen`` ``_seen``,
            ``_unseen``, ``PQ_h``) in percent, nan where there is no class to average;
            ``num_missing``.
        """
        num_classes = len(self.annotations.categories)
        iou = np.zeros(num_classes)
        counts = np.zeros((num_classes, 3), np.int64)
        images = one_per_image(results, is_id_unique=True)
        for stats in images:
            iou[stats.labels] += stats.iou
            counts[stats.labels] += stats.counts
        tp, fp, fn = counts.T
        weight = tp + (fp + fn) / 2
        occurs = weight > 0
        quality = _measure(iou, tp, weight)  # [K, 3]
        groups = self._group(occurs)
        metrics = _average(quality, groups)
        if self.is_seen is not None:
            pair = metrics['PQ_seen'], metrics['PQ_unseen']
            metrics['PQ_h'] = harmonic_mean(*pair)
        if self.similarity is not None:
            near = np.zeros((num_classes, 4))
            for stats in images:
                near[stats.labels] += stats.near
            total = near[:, 1] + near[:, 2:].sum(1) / 2
            found = _average(
                _measure(near[:, 0], near[:, 1], total), self._group(total > 0)
            )
            metrics |= {f'open_{name}': value for name, value in found.items()}
        metrics['num_missing'] = len(self.annotations.images) - len(images)
        if metrics['num_missing']:
            print_log(
                f'{metrics["num_missing"]} of {len(self.annotations.images)} images '
                'have no prediction and are not scored.',
                logger='current',
                level=logging.WARNING,
            )
        if images and not occurs.any():
            print_log(
                f'{self.annotations.path} has nothing to score in these images: no '
                'segment that is no crowd.',
                logger='current',
                level=logging.WARNING,
            )
        self._log_tables(metrics, groups, quality, counts)
        return metrics

    def _group(self, occurs: np.ndarray) -> dict[str, np.ndarray]:
        """Split the classes that occur by the suffix of their results; bool, [K]."""
        is_thing = np.array(self.annotations.is_thing)
        groups = {'': occurs, '_th': occurs & is_thing, '_st': occurs & ~is_thing}
        if self.is_seen is not None:
            groups['_seen'] = occurs & self.is_seen
            groups['_unseen'] = occurs & ~self.is_seen
        return groups

    def _log_tables(
        self,
        metrics: dict[str, float],
        groups: dict[str, np.ndarray],
        quality: np.ndarray,
        counts: np.ndarray,
    ) -> None:
        summary = PrettyTable(['', 'PQ', 'SQ', 'RQ', 'classes'])
        titles = {'': 'all', '_th': 'things', '_st': 'stuff'}
        titles |= {'_seen': 'seen', '_unseen': 'unseen'}
        for suffix, group in groups.items():
            row = [f'{metrics[name + suffix]:.2f}' for name in ('PQ', 'SQ', 'RQ')]
            summary.add_row([titles[suffix], *row, int(group.sum())])
        print_log(f'Panoptic quality\n{summary}', logger='current')
        if not self.classwise:
            return
        table = PrettyTable(['class', 'PQ', 'SQ', 'RQ', 'TP', 'FP', 'FN'])
        for label, name in enumerate(self.annotations.names):
            row = [f'{value:.2f}' for value in quality[label]]
            if not groups[''][label]:
                row = ['-'] * 3
            table.add_row([name, *row, *counts[label]])
        print_log(f'Panoptic quality per class\n{table}', logger='current')


def _measure(iou: np.ndarray, tp: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return PQ, SQ and RQ in percent, ``[K, 3]``, from sums over segments."""
    with np.errstate(invalid='ignore', divide='ignore'):
        return 100 * np.stack(
            [iou / weight, np.where(tp, iou / tp, 0), tp / weight], -1
        )


def _average(quality: np.ndarray, groups: dict[str, np.ndarray]) -> dict[str, float]:
    """Average over groups of classes, by name and suffix."""
    metrics = {}
    for suffix, group in groups.items():
        mean = quality[group].mean(0) if group.any() else np.full(3, np.nan)
        for name, value in zip(('PQ', 'SQ', 'RQ'), mean, strict=True):
            metrics[name + suffix] = float(value)
    return metrics
