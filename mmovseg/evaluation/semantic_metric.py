"""Mean IoU in both conventions, for any number of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from mmengine.logging import print_log
from prettytable import PrettyTable

from ..registry import METRICS
from .label_maps import (
    LabelMapMetric,
    check_prediction,
    harmonic_mean,
)
from .name_similarity import read_similarity
from .samples import take, to_map


@dataclass(frozen=True)
class ImageAreas:
    """Pixels of one image, for the classes that occur in it."""

    image_id: Any
    labels: np.ndarray  # [c] class
    areas: np.ndarray  # [c, 3] int64: correct, predicted, annotated pixels
    img_path: str | None = None
    near: np.ndarray | None = None  # [c, 2] right and wrong with credit for near names

    @property
    def truth(self) -> tuple[int, ...]:
        """The annotated classes with their pixels."""
        rows = np.stack([self.labels, self.areas[:, 2]], -1)
        return tuple(rows[rows[:, 1] > 0].ravel().tolist())


def count_near(
    predicted: np.ndarray, annotated: np.ndarray, similarity: np.ndarray
) -> np.ndarray:
    """Count right and wrong pixels of each class, with credit for near names.

    Args:
        predicted: Class of every pixel, any shape; void is no class.
        annotated: The same of the annotation.
        similarity: Of the classes, ``[K, K]``.

    Returns:
        ``[K, 2]``.
    """
    count = len(similarity)
    valid = annotated < count
    truth, guess = annotated[valid].astype(np.int64), predicted[valid].astype(np.int64)
    known = (guess >= 0) & (guess < count)
    pairs, pixels = np.unique(truth[known] * count + guess[known], return_counts=True)
    truth, guess = np.divmod(pairs, count)
    credit = similarity[truth, guess] * pixels
    near = np.zeros((count, 2))
    np.add.at(near[:, 0], truth, credit)
    np.add.at(near[:, 1], guess, pixels - credit)
    return near


def _mean(values: np.ndarray, group: np.ndarray) -> float:
    return float(values[group].mean()) if group.any() else np.nan


def _share(correct: np.ndarray, annotated: np.ndarray) -> float:
    total = annotated.sum()
    return float(100 * correct.sum() / total) if total else np.nan


@METRICS.register_module()
class SemanticMetric(LabelMapMetric):
    """Mean IoU and pixel accuracy, in percent, from exact integer sums.

    * ``mIoU``: mean over classes that are annotated somewhere. detectron2 since July
      2022, so the numbers of EOV-Seg.
    * ``mIoU_union``: mean over classes that are annotated *or predicted* somewhere.
      ``mmseg.IoUMetric`` and detectron2 before, so the numbers of DeOP. Never higher.
    * ``mAcc``: mean share of a class's pixels that is right, over annotated classes.
    * ``pAcc``: share of annotated pixels that is right.

    With ``seen``, from the same sums over all classes (generalized zero-shot):

    * ``mIoU_seen``, ``mIoU_unseen``: ``mIoU_union`` of these classes.
    * ``hIoU``: harmonic mean of the two; 0 if one is 0.
    * ``pAcc_seen``, ``pAcc_unseen``: ``pAcc`` of the pixels annotated as these classes.

    With ``similarity``, ``open_mIoU`` gives part credit for near names: a pixel of one
    class that is called another, whose name has similarity ``s``, is ``s`` right for
    the first and ``1 - s`` wrong for the second. It is the mean over annotated classes,
    with ``open_mIoU_seen`` and ``open_mIoU_unseen`` for the split. Source: arXiv
    2311.03352 for the idea.

    Source of the last: SPNet, and the released code of DeOP.

    Reads ``pred_sem_seg`` of mmdet (``.sem_seg``) or mmseg (``.data``) at the size of
    the annotation. The ground truth is painted from a panoptic JSON and its PNGs when
    ``ann_file`` is given (crowds count), else it is ``gt_sem_seg`` of the sample.
    Pixels of ``ignore_index`` and of values that are no class are not annotated.

    Args:
        ann_file: Panoptic JSON.
        seg_prefix: Folder of its PNGs.
        seen: Vocabulary of the classes seen in training: packaged name, path or list.
            Its first names are looked up among the class names.
        similarity: How near names are: ``'words'``, or a JSON file; see
            :func:`~mmovseg.evaluation.name_similarity.read_similarity`.
        ignore_index: Value of unlabeled pixels in ``gt_sem_seg``, besides all values
            from the number of classes on. None: what the sample says, if anything.
        classwise: Whether to log a table of all classes.
        backend_args: Storage backend of JSON and PNGs, as in ``mmengine.fileio``.
        collect_device: Where to gather results of several processes.
        prefix: Of the names of the results.

    Raises:
        ValueError: If only one of ``ann_file`` and ``seg_prefix`` is given.
    """

    default_prefix = 'semantic'
    conventions = {
        'mIoU': 'mean over annotated classes (detectron2 since July 2022, EOV-Seg)',
        'mIoU_union': 'mean over annotated or predicted classes (mmseg, DeOP)',
        'mAcc': 'mean share of right pixels over annotated classes',
        'pAcc': 'share of right pixels among the annotated ones',
        'mIoU_seen': 'mIoU_union of the classes seen in training, of all as candidates',
        'mIoU_unseen': 'mIoU_union of the other classes',
        'hIoU': 'harmonic mean of mIoU_seen and mIoU_unseen',
        'pAcc_seen': 'pAcc of the pixels annotated as seen classes',
        'pAcc_unseen': 'pAcc of the pixels annotated as unseen classes',
        'open_mIoU': 'mIoU with part credit for near names',
        'open_mIoU_seen': 'open_mIoU of the classes seen in training',
        'open_mIoU_unseen': 'open_mIoU of the other classes',
    }

    def __init__(
        self,
        ann_file: str | None = None,
        seg_prefix: str | None = None,
        *,
        seen: str | Sequence[str] | None = None,
        similarity: str | None = None,
        ignore_index: int | None = None,
        classwise: bool = False,
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
        self.similarity = similarity
        self._near: np.ndarray | None = None  # read when the names are known
        self.classwise = classwise

    @LabelMapMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Take the class names, and check split and similarity."""
        LabelMapMetric.dataset_meta.fset(self, dataset_meta)
        if self.similarity is not None:
            self._near = read_similarity(self.similarity, self.class_names)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch.

        Raises:
            KeyError: If an image is not in the JSON, or a sample has no ground truth.
            ValueError: If a prediction does not fit its annotation in size or in
                number of classes, JSON and PNG disagree, or two photos have one id.
        """
        num_classes = len(self.class_names)
        if self.similarity is not None and self._near is None:
            self._near = read_similarity(self.similarity, self.class_names)
        for sample in data_samples:
            image = self.ground_truth.image_of(sample)
            field = take(sample, 'pred_sem_seg', type(self).__name__)
            predicted = to_map(field, sample.get('img_path'))
            annotated = self.ground_truth.read(sample, num_classes)
            check_prediction(sample, predicted, annotated, num_classes)
            areas = self._count(image, predicted, annotated, num_classes)
            if self._near is not None:
                near = count_near(predicted, annotated, self._near)
                areas = replace(areas, near=near[areas.labels])
            self.results.append(areas)

    @staticmethod
    def _count(
        image: tuple[Any, str | None],
        predicted: np.ndarray,
        annotated: np.ndarray,
        num_classes: int,
    ) -> ImageAreas:
        valid = annotated < num_classes
        annotated = annotated[valid]
        predicted = predicted[valid].astype(np.int64)
        # What is no class (void) is an error at its pixel and no one's prediction.
        known = (predicted >= 0) & (predicted < num_classes)
        areas = np.stack(
            [
                np.bincount(values, minlength=num_classes)
                for values in (
                    annotated[predicted == annotated],
                    predicted[known],
                    annotated,
                )
            ],
            -1,
        )  # [K, 3]
        labels = np.flatnonzero(areas.any(1))
        return ImageAreas(image[0], labels, areas[labels], image[1])

    def compute_metrics(self, results: list[ImageAreas]) -> dict[str, float]:
        """Sum over images and average over classes.

        Args:
            results: One entry per image. Images that a distributed sampler repeated
                count once.

        Returns:
            The numbers named in the class, in percent; nan without annotation.
        """
        areas = np.zeros((len(self.class_names), 3), np.int64)
        for item in self.ground_truth.one_per_image(results):
            areas[item.labels] += item.areas
        correct, predicted, annotated = areas.T
        union = predicted + annotated - correct
        with np.errstate(invalid='ignore'):
            iou, accuracy = 100 * correct / union, 100 * correct / annotated
        metrics = {
            'mIoU': _mean(iou, annotated > 0),
            'mIoU_union': _mean(iou, union > 0),
            'mAcc': _mean(accuracy, annotated > 0),
            'pAcc': _share(correct, annotated),
        }
        is_seen = self.find_seen()
        if is_seen is not None:
            groups = {'seen': is_seen, 'unseen': ~is_seen}
            for name, group in groups.items():
                metrics[f'mIoU_{name}'] = _mean(iou, group & (union > 0))
            pair = metrics['mIoU_seen'], metrics['mIoU_unseen']
            metrics['hIoU'] = harmonic_mean(*pair)
            for name, group in groups.items():
                metrics[f'pAcc_{name}'] = _share(correct[group], annotated[group])
        if self.similarity is not None:
            metrics |= self._measure_near(results, annotated)
        self._log_tables(metrics, iou, accuracy)
        return metrics

    def _measure_near(
        self, results: list[ImageAreas], annotated: np.ndarray
    ) -> dict[str, float]:
        near = np.zeros((len(annotated), 2))
        for item in self.ground_truth.one_per_image(results):
            near[item.labels] += item.near
        right, wrong = near.T
        with np.errstate(invalid='ignore'):
            iou = 100 * right / (annotated + wrong)
        groups = {'': annotated > 0}
        is_seen = self.find_seen()
        if is_seen is not None:
            groups |= {
                '_seen': is_seen & (annotated > 0),
                '_unseen': ~is_seen & (annotated > 0),
            }
        return {f'open_mIoU{key}': _mean(iou, group) for key, group in groups.items()}

    def _log_tables(
        self, metrics: dict[str, float], iou: np.ndarray, accuracy: np.ndarray
    ) -> None:
        summary = PrettyTable(list(metrics))
        summary.add_row([f'{value:.2f}' for value in metrics.values()])
        print_log(
            'Semantic segmentation (mIoU: annotated classes; mIoU_union: also those '
            f'only predicted)\n{summary}',
            logger='current',
        )
        if self.classwise:
            table = PrettyTable(['class', 'IoU', 'Acc'])
            for row in zip(self.class_names, iou, accuracy, strict=True):
                table.add_row([row[0], f'{row[1]:.2f}', f'{row[2]:.2f}'])
            print_log(f'IoU per class\n{table}', logger='current')
