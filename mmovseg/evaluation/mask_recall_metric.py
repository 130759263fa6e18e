"""How many annotated class masks a set of proposals covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.logging import print_log
from prettytable import PrettyTable

from ..registry import METRICS
from .label_maps import (
    LabelMapMetric,
    check_prediction,
    check_size,
)
from .samples import take, to_map

# The two evaluators of DeOP's release have one threshold each.
DEOP_PROPOSAL_IOU, DEOP_SEGMENT_IOU = 0.5, 0.3


@dataclass(frozen=True)
class ImageRecall:
    """What is kept of one image with c annotated classes."""

    image_id: Any
    labels: np.ndarray  # [c] class
    best_iou: np.ndarray  # [c] with the proposal that fits best, 0 without one
    # [2, 3] proposals, then map segments: number, hits on seen, hits on unseen masks
    deop_hits: np.ndarray
    deop_masks: np.ndarray  # [2] seen (ignored region included), unseen masks
    img_path: str | None = None
    truth: tuple[int, ...] = ()  # annotated pixels of every class


def intersect(masks: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the pixels that masks share with classes.

    Args:
        masks: Binary masks, ``[N, H, W]`` bool.
        labels: Class of every pixel, ``[H, W]`` in ``[0, num_classes]``; the last
            value is that of unlabeled pixels.
        num_classes: K.

    Returns:
        Common pixels, ``[N, K + 1]`` int64.
    """
    counts = np.zeros((len(masks), num_classes + 1), np.int64)
    for count, mask in zip(counts, masks, strict=True):
        count += np.bincount(labels[mask], minlength=num_classes + 1)
    return counts


def count_hits(inter: np.ndarray, annotated: np.ndarray, threshold: float) -> tuple:
    """Count as DeOP's evaluators do: which mask does a prediction hit?

    Args:
        inter: Common pixels of predictions and masks, ``[N, K + 1]``.
        annotated: Pixels of the masks, ``[K + 1]``.
        threshold: IoU to exceed.

    Returns:
        Number of predictions that are not empty, and per mask how many hit it,
        ``[K + 1]``. A prediction hits the first mask that it overlaps enough.
    """
    area = inter.sum(1, keepdims=True)
    inter = inter[area[:, 0] > 0]
    union = area[area[:, 0] > 0] + annotated - inter
    above = inter > threshold * union
    hits = np.bincount(above.argmax(1)[above.any(1)], minlength=len(annotated))
    return len(inter), hits


@METRICS.register_module()
class MaskRecallMetric(LabelMapMetric):
    """Share of annotated class masks that some proposal covers, in percent.

    The annotated masks of an image are its classes, one mask per class. For every
    ``t`` of ``iou_thrs``, ``recall_<100 t>`` is the share of all masks of all images
    whose IoU with at least one proposal exceeds ``t``; proposals lose their pixels on
    unlabeled ground first, as in every other metric. With ``seen`` there are
    ``recall_<100 t>_seen`` and ``_unseen`` too, over the masks of these classes.

    ``compatibility='deop'`` adds the numbers of DeOP's two released evaluators, for
    comparison with table 8 of the paper. Both count from the side of the prediction
    and take the unlabeled region for one more mask of a seen class:

    * ``deop_AP``: proposals that overlap some mask by an IoU above 0.5, divided by
      the proposals that are not empty.
    * ``deop_Recall``: classes of the final label map, as one segment each, that
      overlap some mask by an IoU above 0.3, divided by the number of segments.
    * ``deop_R_Seen``, ``deop_R_Unseen``: those of them whose mask is of a seen or
      unseen class, divided by the number of such masks. Can exceed 100.

    Where several masks exceed the threshold, that of the lowest class has the hit.

    Reads ``pred_proposals`` (``masks``, ``[N, H, W]`` bool, at the size of the
    annotation; ``MaskFusion(proposals=True)`` writes it) and, for DeOP's second
    evaluator, ``pred_sem_seg``. Ground truth as in :class:`SemanticMetric`.

    Args:
        ann_file: Panoptic JSON. None: ``gt_sem_seg`` of the sample.
        seg_prefix: Folder of its PNGs.
        iou_thrs: Thresholds in (0, 1).
        seen: Vocabulary of the classes seen in training: packaged name, path or list.
            Its first names are looked up among the class names.
        compatibility: None or ``'deop'``, which needs ``seen``.
        ignore_index: Value of unlabeled pixels in ``gt_sem_seg``, besides all values
            from the number of classes on. None: what the sample says, if anything.
        backend_args: Storage backend of JSON and PNGs, as in ``mmengine.fileio``.
        collect_device: Where to gather results of several processes.
        prefix: Of the names of the results.

    Raises:
        ValueError: If a threshold is outside (0, 1), ``compatibility`` is unknown or
            lacks ``seen``, or only one of ``ann_file`` and ``seg_prefix`` is given.
    """

    default_prefix = 'masks'

    def __init__(
        self,
        ann_file: str | None = None,
        seg_prefix: str | None = None,
        *,
        iou_thrs: Sequence[float] = (0.3, 0.5),
        seen: str | Sequence[str] | None = None,
        compatibility: str | None = None,
        ignore_index: int | None = None,
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(
            ann_file,
            seg_prefix,
            seen=seen,
            ignore_index=ignore_index,
            backend_args=backend_args,
            collect_device=collect_device,
            prefix=prefix,
        )
        if not iou_thrs or not all(0 < thr < 1 for thr in iou_thrs):
            raise ValueError(f'iou_thrs must be in (0, 1), got {iou_thrs}.')
        if compatibility not in (None, 'deop'):
            raise ValueError(
                f"compatibility must be None or 'deop', got {compatibility!r}."
            )
        if compatibility and seen is None:
            raise ValueError(
                "compatibility='deop' tells seen from unseen classes: give `seen`."
            )
        self.iou_thrs = tuple(iou_thrs)
        self.compatibility = compatibility

    @property
    def conventions(self) -> dict[str, str]:
        """Definitions of the numbers, for run cards."""
        meaning = 'share of annotated class masks that a proposal covers by more than '
        names = {
            f'recall_{100 * threshold:g}': f'{meaning}{threshold:g} IoU'
            for threshold in self.iou_thrs
        }
        released = 'counted as in the released evaluators of DeOP, see MaskRecallMetric'
        deop = ('deop_AP', 'deop_Recall', 'deop_R_Seen', 'deop_R_Unseen')
        return names | dict.fromkeys(deop, released)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Compare the proposals of a batch with the annotation.

        Raises:
            KeyError: If a sample has no proposals or no ground truth.
            ValueError: If results do not fit the annotation in size or in number of
                classes, or ``seen`` does not fit the class names.
        """
        is_seen = self.find_seen()
        for sample in data_samples:
            self.results.append(self._compare(sample, is_seen))

    def _compare(self, sample: dict, is_seen: np.ndarray | None) -> ImageRecall:
        metric, num_classes = type(self).__name__, len(self.class_names)
        image_id, path = self.ground_truth.image_of(sample)
        masks = take(take(sample, 'pred_proposals', metric), 'masks', metric, path)
        masks = masks.detach().cpu().numpy() > 0
        annotated = self.ground_truth.read(sample, num_classes)
        check_size(sample, 'proposal', masks.shape[-2:], annotated.shape)
        inter = intersect(masks, annotated, num_classes)  # [N, K + 1]
        area = np.bincount(annotated.ravel(), minlength=num_classes + 1)
        labels = np.flatnonzero(area[:-1])
        inside = inter[:, :-1]
        union = inside.sum(1, keepdims=True) + area[:-1] - inside
        iou = inside[:, labels] / union[:, labels]
        hits, number = np.zeros((2, 3), np.int64), np.zeros(2, np.int64)
        if self.compatibility and is_seen is not None:
            hits, number = self._count_as_deop(sample, annotated, inter, is_seen)
        return ImageRecall(
            image_id=image_id,
            labels=labels,
            best_iou=iou.max(0, initial=0),
            deop_hits=hits,
            deop_masks=number,
            img_path=path,
            truth=tuple(area.tolist()),
        )

    def _count_as_deop(
        self,
        sample: dict,
        annotated: np.ndarray,
        inter: np.ndarray,
        is_seen: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        field = take(sample, 'pred_sem_seg', "compatibility='deop'")
        predicted = to_map(field, sample.get('img_path'))
        check_prediction(sample, predicted, annotated, len(is_seen))
        segments = predicted == np.unique(predicted)[:, None, None]
        area = np.bincount(annotated.ravel(), minlength=len(is_seen) + 1)
        is_seen = np.append(is_seen, True)  # the unlabeled region
        rows = []
        for counts, threshold in (
            (inter, DEOP_PROPOSAL_IOU),
            (intersect(segments, annotated, len(is_seen) - 1), DEOP_SEGMENT_IOU),
        ):
            number, hits = count_hits(counts, area, threshold)
            rows.append((number, hits[is_seen].sum(), hits[~is_seen].sum()))
        present = area > 0
        masks = (present & is_seen).sum(), (present & ~is_seen).sum()
        return np.array(rows), np.array(masks)

    def compute_metrics(self, results: list[ImageRecall]) -> dict[str, float]:
        """Put the masks of all images together.

        Args:
            results: One entry per image. Images that a distributed sampler repeated
                count once.

        Returns:
            The numbers named in the class, in percent; nan where nothing was counted.
        """
        images = self.ground_truth.one_per_image(results)
        # With an empty start, so that there may be no image.
        labels = np.concatenate([np.zeros(0, int), *(x.labels for x in images)])
        best_iou = np.concatenate([np.zeros(0), *(x.best_iou for x in images)])
        groups = {'': np.ones(len(labels), bool)}
        is_seen = self.find_seen()
        if is_seen is not None:
            is_seen = is_seen[labels]
            groups |= {'_seen': is_seen, '_unseen': ~is_seen}
        metrics = {}
        for threshold in self.iou_thrs:
            for suffix, group in groups.items():
                metrics[f'recall_{100 * threshold:g}{suffix}'] = _percent(
                    (best_iou[group] > threshold).sum(), group.sum()
                )
        if self.compatibility:
            hits = [np.zeros((2, 3), int), *(x.deop_hits for x in images)]
            proposals, segments = np.sum(hits, 0)
            masks = np.sum([np.zeros(2, int), *(x.deop_masks for x in images)], 0)
            metrics['deop_AP'] = _percent(proposals[1:].sum(), proposals[0])
            metrics['deop_Recall'] = _percent(segments[1:].sum(), segments[0])
            metrics['deop_R_Seen'] = _percent(segments[1], masks[0])
            metrics['deop_R_Unseen'] = _percent(segments[2], masks[1])
        summary = PrettyTable(list(metrics))
        summary.add_row([f'{value:.2f}' for value in metrics.values()])
        print_log(f'Recall of mask proposals\n{summary}', logger='current')
        return metrics


def _percent(part: int, whole: int) -> float:
    return float(100 * part / whole) if whole else np.nan
