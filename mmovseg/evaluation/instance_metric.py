"""COCO average precision, matched while the model runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable
from pycocotools import mask as rle
from pycocotools.cocoeval import COCOeval

from ..formats.annotation_file import hint_of_type
from ..formats.instance_format import InstanceAnnotations
from ..registry import METRICS
from .average_precision import (
    MAX_PER_IMAGE,
    ImageMatches,
    accumulate,
    concatenate,
    match_category,
    mean_precision,
)
from .categories import find_categories
from .label_maps import find_seen
from .samples import check_photo, one_per_image, take

KINDS = ('bbox', 'segm')
# Name of a result: its IoU threshold (None: all ten) and range of areas.
RESULTS = {
    'mAP': (None, 'all'),
    'mAP_50': (0.5, 'all'),
    'mAP_75': (0.75, 'all'),
    'mAP_s': (None, 'small'),
    'mAP_m': (None, 'medium'),
    'mAP_l': (None, 'large'),
}


@dataclass(frozen=True)
class ImageResult:
    """What is kept of one image."""

    image_id: Any
    matches: dict[str, ImageMatches]  # by kind
    img_path: str | None = None
    truth: None = None  # one JSON, one annotation of an image


@METRICS.register_module()
class InstanceMetric(BaseMetric):
    """COCO's average precision of boxes and masks, in [0, 1] as ``mmdet.CocoMetric``'s.

    Matching and interpolation are those of ``pycocotools``, but every image is matched
    at once and only scores and outcomes are kept, where ``mmdet.CocoMetric`` keeps all
    masks. It also differs from that metric where that one goes wrong or surprises:

    * Label ``i`` has the id ``category_ids[i]`` of the dataset's metainfo (see
      ``PanopticDataset``), without that the category called ``classes[i]``. mmdet takes
      the i-th category of the JSON whose name is a class name, which only holds where
      things come first and names agree. Predictions of categories that the JSON lacks
      (stuff) are left out, and so are its categories that are no classes.
    * Images of the JSON without a prediction are not scored, as in ``PanopticMetric``;
      their number is ``num_missing``.
    * An annotation may have the id 0; results are not rounded, and are nan where there
      is no instance to find.

    Reads ``pred_instances``: ``labels``, ``scores`` (for masks ``mask_scores`` if there
    are any), ``bboxes`` (x1, y1, x2, y2), ``masks`` ``[n, H, W]`` or encoded ones.

    Args:
        ann_file: Instance JSON in COCO's format.
        metric: ``'segm'``, ``'bbox'`` or both.
        seen: Vocabulary of the classes seen in training, as in ``SemanticMetric``: adds
            ``mAP_seen`` and ``mAP_unseen``, the means over these and the others.
        classwise: Whether to log a table of all classes.
        backend_args: Storage backend of the JSON, as in ``mmengine.fileio``.
        collect_device: Where to gather results of several processes.
        prefix: Of the names of the results.

    Raises:
        FileNotFoundError: If the JSON is missing.
        ValueError: If a metric is not one of the two.
    """

    default_prefix = 'instance'
    conventions = {
        f'{kind}_{name}': f"COCO's {name} of {what}, 100 results; in [0, 1]"
        for kind, what in (('segm', 'masks'), ('bbox', 'boxes'))
        for name in (*RESULTS, 'mAP_seen', 'mAP_unseen')
    } | {'num_missing': 'images of the JSON without prediction, not scored'}

    def __init__(
        self,
        ann_file: str,
        metric: str | Sequence[str] = 'segm',
        *,
        seen: str | Sequence[str] | None = None,
        classwise: bool = False,
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.kinds = [metric] if isinstance(metric, str) else list(metric)
        unknown = set(self.kinds) - set(KINDS)
        if unknown or not self.kinds:
            raise ValueError(
                f"metric must be 'segm', 'bbox' or a list of them, got {metric!r}."
            )
        self.annotations = InstanceAnnotations.read(ann_file, backend_args)
        for kind in self.kinds:
            self.annotations.check_kind(kind)
        self.annotations.refuse_faults()
        self.seen = seen
        self.classwise = classwise
        self._paths: dict[Any, str | None] = {}
        self._category_ids: list[Any] = []  # those that count
        # Place therein of every label, or -1; empty until there is metainfo.
        self._codes: np.ndarray = np.zeros(0, np.int64)

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Take the class names, and check the split before anything is computed."""
        BaseMetric.dataset_meta.fset(self, dataset_meta)
        if self.seen is not None:
            find_seen(self.seen, dataset_meta['classes'])

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match a batch of predictions with their annotations.

        Raises:
            KeyError: If an image is not in the JSON, or a sample lacks a field.
            ValueError: If a prediction does not fit the annotation or is not finite, if
                two photos have one id, or if the JSON numbers or names the categories
                in another way than the dataset; see :func:`.find_categories`.
        """
        if not len(self._codes):
            ids = find_categories(self.annotations, self.dataset_meta or {})
            known = {i for i in ids if i is not None}
            self._category_ids = sorted(known, key=lambda i: (isinstance(i, str), i))
            places = {i: place for place, i in enumerate(self._category_ids)}
            self._codes = np.array([places.get(i, -1) for i in ids], np.int64)
        for sample in data_samples:
            self.results.append(self._compare(sample))

    def _compare(self, sample: Mapping) -> ImageResult:
        name = type(self).__name__
        image_id, path = check_photo(self._paths, sample, name)
        if image_id not in self.annotations.images:
            raise KeyError(
                f'Image {image_id!r} is not in the instance JSON '
                f'{self.annotations.path}'
                f'{hint_of_type(image_id, self.annotations.images)}.'
            )
        title = f'image {image_id!r}' + (f' ({path})' if path else '')
        predicted = self._select(take(sample, 'pred_instances', name), title)
        truths = self._truths(image_id)
        matches = {
            kind: self._match(kind, image_id, truths, predicted) for kind in self.kinds
        }
        return ImageResult(image_id, matches, path)

    def _truths(self, image_id: Any) -> list[dict]:
        """Take what counts of the annotations of an image, masks encoded."""
        places = {i: place for place, i in enumerate(self._category_ids)}
        truths = []
        # Numbered from 1: pycocotools takes 0 for no match.
        for number, ann in enumerate(self.annotations.annotations.get(image_id, ()), 1):
            if ann['category_id'] not in places:
                continue
            crowd = ann.get('iscrowd', 0)
            row = {'id': number, 'iscrowd': crowd, 'ignore': crowd}
            row['category'] = places[ann['category_id']]
            if 'bbox' in self.kinds:
                row['bbox'] = ann['bbox']
                area = ann['bbox'][2] * ann['bbox'][3]
            if 'segm' in self.kinds:
                row['segmentation'] = self.annotations.encode(ann)
                area = float(rle.area(row['segmentation']))
            truths.append({**row, 'area': ann.get('area', area)})
        return truths

    def _select(self, predicted: Mapping, title: str) -> dict[str, Any]:
        """Take what a category of the JSON belongs to, masks encoded."""
        labels = self._numbers(predicted, 'labels', title, None)
        wrong = labels[(labels < 0) | (labels >= len(self._codes))]
        if wrong.size:
            raise ValueError(
                f'A prediction of {title} has label {wrong[0]}, but the dataset has '
                f'{len(self._codes)} classes: set the vocabulary of the dataset.'
            )
        categories = self._codes[labels]
        keep = np.flatnonzero(categories >= 0)
        scores = self._numbers(predicted, 'scores', title, len(labels))[keep]
        rows: dict[str, Any] = {
            'categories': categories[keep],
            'bbox_scores': scores,
            'segm_scores': scores,
        }
        if 'mask_scores' in predicted:
            given = self._numbers(predicted, 'mask_scores', title, len(labels))
            rows['segm_scores'] = given[keep]
        if 'bbox' in self.kinds:
            boxes = self._numbers(predicted, 'bboxes', title, len(labels))[keep]
            boxes[:, 2:] -= boxes[:, :2]
            if boxes[:, 2:].min(initial=0) < 0:
                raise ValueError(
                    f'A box of {title} ends before it starts; bboxes are x1, y1, x2 '
                    'and y2.'
                )
            rows['bbox'] = boxes.tolist()
        if 'segm' in self.kinds:
            masks = take(predicted, 'masks', type(self).__name__, title)
            if len(masks) != len(labels):
                raise ValueError(
                    f'{title} has {len(labels)} labels and {len(masks)} masks.'
                )
            rows['segm'] = _encode(masks, keep, title)
        return rows

    def _numbers(
        self, predicted: Mapping, key: str, title: str, length: int | None
    ) -> np.ndarray:
        """Take finite numbers, one row for every label; labels as int64."""
        values = take(predicted, key, type(self).__name__, title)
        values = torch.as_tensor(values).detach().cpu().numpy()
        if length is not None and len(values) != length:
            raise ValueError(f'{title} has {length} labels and {len(values)} {key}.')
        shape = (len(values), 4) if key == 'bboxes' else (len(values),)
        if values.shape != shape:
            raise ValueError(f'{key} of {title} must be {shape}, got {values.shape}.')
        is_label = length is None
        good = values == np.round(values) if is_label else np.isfinite(values)
        if not good.all():
            raise ValueError(
                f'{key} of {title} have the value {values[~good][0]}. Did the training '
                'diverge, or half precision overflow?'
            )
        return values.astype(np.int64 if is_label else np.float64)

    def _match(
        self, kind: str, image_id: Any, truths: list[dict], predicted: Mapping
    ) -> ImageMatches:
        """Let ``pycocotools`` match the detections and instances of one image."""
        single = COCOeval(iouType=kind)
        field = 'bbox' if kind == 'bbox' else 'segmentation'
        for row in truths:
            single._gts[image_id, row['category']].append(row)
        categories, scores = predicted['categories'], predicted[f'{kind}_scores']
        for number, category in enumerate(categories.tolist(), 1):
            shape = predicted[kind][number - 1]
            if kind == 'segm':
                self._check_size(image_id, shape['size'])
                area = rle.area(shape)
            else:
                area = shape[2] * shape[3]
            row = {'id': number, 'score': scores[number - 1], 'area': area}
            single._dts[image_id, category].append({**row, field: shape})
        single.params.maxDets = [MAX_PER_IMAGE]
        parts, instances = [], {}
        for category in sorted(set(categories.tolist()) | {k for _, k in single._gts}):
            outcome, scored, count = match_category(single, image_id, category)
            instances[category] = count
            parts.append((np.full(len(scored), category), scored, outcome))
        return ImageMatches(*concatenate(parts), instances)

    def _check_size(self, image_id: Any, size: Sequence[int]) -> None:
        expected = self.annotations.size_of(image_id)
        if tuple(size) != expected:
            raise ValueError(
                f'A mask of image {image_id!r} is {tuple(size)} (height, width), but '
                f'the instance JSON says {expected}.'
            )

    def compute_metrics(self, results: list[ImageResult]) -> dict[str, float]:
        """Average precision over categories.

        Args:
            results: One entry per image. Images that a distributed sampler repeated
                count once.

        Returns:
            ``segm_mAP``, ``segm_mAP_50``, ``_75``, for small, medium and large
            instances ``_s``, ``_m``, ``_l``, with ``seen`` ``_seen``, ``_unseen``, the
            same for ``bbox``; in [0, 1], nan without an instance; ``num_missing``.
        """
        images = one_per_image(results, is_id_unique=True)
        images.sort(key=lambda x: (isinstance(x.image_id, str), x.image_id))
        metrics: dict[str, float] = {}
        for kind in self.kinds:
            total = accumulate(
                kind, [x.matches[kind] for x in images], range(len(self._category_ids))
            )
            for name, choice in RESULTS.items():
                metrics[f'{kind}_{name}'] = mean_precision(total, *choice)
            for name, group in self._split().items():
                value = mean_precision(total, None, 'all', group)
                metrics[f'{kind}_mAP_{name}'] = value
            self._log(kind, metrics, total)
        metrics['num_missing'] = len(self.annotations.images) - len(images)
        if metrics['num_missing']:
            print_log(
                f'{metrics["num_missing"]} of {len(self.annotations.images)} images '
                'have no prediction and are not scored.',
                logger='current',
                level=logging.WARNING,
            )
        if images and np.isnan(metrics[f'{self.kinds[0]}_mAP']):
            print_log(
                f'{self.annotations.path} has nothing to score in these images: no '
                'instance that is no crowd.',
                logger='current',
                level=logging.WARNING,
            )
        return metrics

    def _split(self) -> dict[str, np.ndarray]:
        """Mark the categories of seen and of unseen classes, if there is a split."""
        if self.seen is None or not len(self._codes):
            return {}
        is_seen = find_seen(self.seen, self.dataset_meta['classes'])
        mask = np.isin(np.arange(len(self._category_ids)), self._codes[is_seen])
        return {'seen': mask, 'unseen': ~mask}

    def _log(self, kind: str, metrics: Mapping[str, float], total: COCOeval) -> None:
        summary = PrettyTable(['', *RESULTS])
        summary.add_row([kind, *(f'{metrics[f"{kind}_{x}"]:.3f}' for x in RESULTS)])
        if self.classwise:
            for index, category in enumerate(self._category_ids):
                values = [
                    mean_precision(total, *x, index=[index]) for x in RESULTS.values()
                ]
                name = self.annotations.categories[category]
                summary.add_row([name, *(f'{value:.3f}' for value in values)])
        print_log(f'Average precision\n{summary}', logger='current')


def _encode(masks: Any, keep: np.ndarray, title: str) -> list[dict]:
    """Encode the masks of some rows, which may be encoded already."""
    if not isinstance(masks, torch.Tensor):
        return [masks[i] for i in keep]
    if masks.dim() != 3:
        raise ValueError(f'The masks of {title} must be [n, H, W], got {masks.shape}.')
    kept = masks[torch.from_numpy(keep).to(masks.device)].cpu().numpy()
    if kept.dtype != bool:
        if np.issubdtype(kept.dtype, np.floating) and not np.isin(kept, (0, 1)).all():
            raise ValueError(
                f'The masks of {title} are {kept.dtype} and not all 0 or 1; threshold '
                'them first.'
            )
        kept = kept != 0
    return rle.encode(np.asfortranarray(kept.transpose(1, 2, 0).view(np.uint8)))
