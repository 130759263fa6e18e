"""Mean IoU in both conventions, for any number of classes."""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable

from ..datasets.panoptic_format import PanopticAnnotations, read_segment_ids
from ..registry import METRICS


@dataclass(frozen=True)
class ImageAreas:
    """Pixels of one image, for the classes that occur in it."""

    image_id: Any
    labels: np.ndarray  # [c] class
    areas: np.ndarray  # [c, 3] int64: correct, predicted, annotated pixels


def _to_map(field: dict) -> np.ndarray:
    """Take the ``[H, W]`` map out of a field of mmdet (sem_seg) or mmseg (data)."""
    tensor = field['sem_seg'] if 'sem_seg' in field else field['data']
    return tensor.detach().cpu().numpy().reshape(tensor.shape[-2:])


@METRICS.register_module()
class SemanticMetric(BaseMetric):
    """Mean IoU and pixel accuracy, in percent, from exact integer sums.

    * ``mIoU``: mean over classes that are annotated somewhere. detectron2 since July
      2022, so the numbers of EOV-Seg.
    * ``mIoU_union``: mean over classes that are annotated *or predicted* somewhere.
      ``mmseg.IoUMetric`` and detectron2 before, so the numbers of DeOP. Never higher.
    * ``mAcc``: mean share of a class's pixels that is right, over annotated classes.
    * ``pAcc``: share of annotated pixels that is right.

    Reads ``pred_sem_seg`` of mmdet (``.sem_seg``) or mmseg (``.data``) at the size of
    the annotation. The ground truth is painted from a panoptic JSON and its PNGs when
    ``ann_file`` is given (crowds count), else it is ``gt_sem_seg`` of the sample.
    Pixels of ``ignore_index`` and of values that are no class are not annotated.

    Args:
        ann_file: Panoptic JSON.
        seg_prefix: Folder of its PNGs.
        ignore_index: Value of unlabelled pixels in ``gt_sem_seg``, besides all values
            from the number of classes on. None: what the sample says, if anything.
        classwise: Whether to log a table of all classes.
        backend_args: Storage backend of JSON and PNGs, as in ``mmengine.fileio``.
        collect_device: Where to gather results of several processes.
        prefix: Of the names of the results.

    Raises:
        ValueError: If only one of ``ann_file`` and ``seg_prefix`` is given.
    """

    default_prefix = 'semantic'

    def __init__(
        self,
        ann_file: str | None = None,
        seg_prefix: str | None = None,
        *,
        ignore_index: int | None = None,
        classwise: bool = False,
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
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
        self.classwise = classwise
        self.backend_args = backend_args

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names, from the JSON or else from the data set."""
        if self.annotations is not None:
            return self.annotations.names
        return tuple(self.dataset_meta['classes'])

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch.

        Raises:
            KeyError: If an image is not in the JSON, or a sample has no ground truth.
            ValueError: If a prediction does not fit its annotation in size or in
                number of classes.
        """
        num_classes = len(self.class_names)
        for sample in data_samples:
            predicted = _to_map(sample['pred_sem_seg'])
            names = sample['pred_sem_seg'].get('label_names')
            if names is not None and len(names) != num_classes:
                raise ValueError(
                    f'The model predicts {len(names)} classes, the data set has '
                    f'{num_classes}: set the vocabulary of the data set.'
                )
            annotated = self._ground_truth(sample, num_classes)
            if predicted.shape != annotated.shape:
                raise ValueError(
                    f'The prediction for {sample.get("img_path")} is '
                    f'{predicted.shape} (height, width), its annotation is '
                    f'{annotated.shape}. A pipeline that resizes must load '
                    'annotations after that.'
                )
            self.results.append(self._count(sample, predicted, annotated, num_classes))

    def _ground_truth(self, sample: dict, num_classes: int) -> np.ndarray:
        """Give the class of every pixel, ``num_classes`` where there is none."""
        if self.annotations is None:
            if 'gt_sem_seg' not in sample:
                raise KeyError(
                    f'{sample.get("img_path")} has no gt_sem_seg: load annotations in '
                    'the pipeline, or give ann_file and seg_prefix.'
                )
            field = sample['gt_sem_seg']
            labels = _to_map(field).astype(np.int64)
            ignore_index = self.ignore_index
            if ignore_index is None:
                ignore_index = field.get('ignore_index', num_classes)
            ignored = (labels == ignore_index) | (labels < 0) | (labels >= num_classes)
            return np.where(ignored, num_classes, labels)
        if sample['img_id'] not in self.annotations.images:
            raise KeyError(f'Image {sample["img_id"]!r} is not in the panoptic JSON.')
        image = self.annotations.images[sample['img_id']]
        ids = read_segment_ids(
            osp.join(self.seg_prefix, image.png_name), self.backend_args
        )
        labels = np.full(ids.shape, num_classes, np.int64)
        for segment in image.segments:
            labels[ids == segment['id']] = self.annotations.labels[
                segment['category_id']
            ]
        return labels

    @staticmethod
    def _count(
        sample: dict, predicted: np.ndarray, annotated: np.ndarray, num_classes: int
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
        image_id = sample.get('img_id', sample.get('img_path'))
        return ImageAreas(image_id, labels, areas[labels])

    def compute_metrics(self, results: list[ImageAreas]) -> dict[str, float]:
        """Sum over images and average over classes.

        Args:
            results: One entry per image. Images that a distributed sampler repeated
                count once.

        Returns:
            The four numbers named in the class, in percent; nan without annotation.
        """
        areas = np.zeros((len(self.class_names), 3), np.int64)
        # Samples without id or path (None) cannot be told apart, and all count.
        images = {
            index if item.image_id is None else (item.image_id,): item
            for index, item in enumerate(results)
        }
        for item in images.values():
            areas[item.labels] += item.areas
        correct, predicted, annotated = areas.T
        union = predicted + annotated - correct
        with np.errstate(invalid='ignore'):
            iou, accuracy = 100 * correct / union, 100 * correct / annotated
        metrics = {}
        for name, values, group in (
            ('mIoU', iou, annotated > 0),
            ('mIoU_union', iou, union > 0),
            ('mAcc', accuracy, annotated > 0),
        ):
            metrics[name] = float(values[group].mean()) if group.any() else np.nan
        total = annotated.sum()
        metrics['pAcc'] = float(100 * correct.sum() / total) if total else np.nan
        self._log_tables(metrics, iou, accuracy)
        return metrics

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
