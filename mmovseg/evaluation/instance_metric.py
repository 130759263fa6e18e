"""COCO average precision, matched while the model runs."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.fileio import get_local_path
from mmengine.logging import print_log
from prettytable import PrettyTable
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..registry import METRICS
from .label_maps import find_seen

KINDS = ('bbox', 'segm')
MAX_PER_IMAGE = 100  # best detections of a category and an image that count
WRONG, RIGHT, EXCUSED = range(3)
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
class ImageMatches:
    """Detections of one image, matched with its instances."""

    categories: np.ndarray  # [n] id of the category of every detection
    scores: np.ndarray  # [n]
    outcomes: np.ndarray  # [n, areas, thresholds] WRONG, RIGHT or EXCUSED
    instances: dict[int, np.ndarray]  # category: instances to find, [areas]


@METRICS.register_module()
class InstanceMetric(BaseMetric):
    """COCO's average precision of boxes and masks, in [0, 1] as ``mmdet.CocoMetric``'s.

    Matching and interpolation are those of ``pycocotools``, but every image is matched
    at once and only scores and outcomes are kept, where ``mmdet.CocoMetric`` keeps all
    masks. It also differs from that metric where that one goes wrong or surprises:

    * Label ``i`` has the id ``category_ids[i]`` of the data set's metainfo (see
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
        with (
            get_local_path(ann_file, backend_args=backend_args) as path,
            redirect_stdout(io.StringIO()),
        ):
            self.coco = COCO(path)
        self.seen = seen
        self.classwise = classwise
        self._category_ids: list[int] | None = None

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Take the class names, and check the split before anything is computed."""
        BaseMetric.dataset_meta.fset(self, dataset_meta)
        if self.seen is not None:
            find_seen(self.seen, dataset_meta['classes'])

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match a batch of predictions with their annotations.

        Raises:
            KeyError: If an image is not in the JSON.
            ValueError: If the masks do not fit the annotation, or if the JSON numbers
                the categories in another way than the data set: what is stuff there
                has another name or instances, or it knows none of the classes.
        """
        if self._category_ids is None:
            self._category_ids = self._find_categories(self.dataset_meta or {})
        wanted = set(self._category_ids)
        for sample in data_samples:
            image_id = sample['img_id']
            if image_id not in self.coco.imgs:
                raise KeyError(f'Image {image_id!r} is not in the instance JSON.')
            predicted = self._select(sample['pred_instances'], self._category_ids)
            truths = [
                ann
                for ann in self.coco.imgToAnns[image_id]
                if ann['category_id'] in wanted
            ]
            matches = {
                kind: self._match(kind, image_id, truths, predicted)
                for kind in self.kinds
            }
            self.results.append((image_id, matches))

    def _find_categories(self, meta: Mapping) -> list[int]:
        """Return the category of every label, -1 for what the JSON lacks."""
        classes, ids = meta.get('classes', ()), meta.get('category_ids')
        if ids is None:
            by_name = {cat['name']: i for i, cat in self.coco.cats.items()}
            ids = [by_name.get(name, -1) for name in classes]
        else:
            self._check_things(meta)
        ids = [i if i in self.coco.cats else -1 for i in ids]
        if set(ids) <= {-1}:
            raise ValueError(
                'The instance JSON has no category of the data set, whose classes are '
                f'{", ".join(classes[:5])}, ...; it has '
                f'{", ".join(cat["name"] for cat in list(self.coco.cats.values())[:5])}'
                ', ...'
            )
        return ids

    def _check_things(self, meta: Mapping) -> None:
        """Refuse, for example, mmdet's things-first file of ADE20K."""
        classes = meta['classes']
        is_thing = meta.get('is_thing', [True] * len(classes))
        for category_id, name, thing in zip(
            meta['category_ids'], classes, is_thing, strict=True
        ):
            if thing or category_id not in self.coco.cats:
                continue
            theirs = self.coco.cats[category_id]['name']
            alike = theirs.strip().lower() == name.strip().lower()
            if not alike or self.coco.catToImgs.get(category_id):
                raise ValueError(
                    f'The instance JSON has category {category_id}, {theirs!r}, '
                    f'which is {name!r} and stuff in the data set. The two '
                    'must number the categories alike; for ADE20K make both with '
                    'tools/dataset_converters/ade20k_panoptic.py.'
                )

    def _select(self, predicted: Mapping, category_ids: list[int]) -> dict[str, Any]:
        """Take what a category of the JSON belongs to, masks encoded."""
        labels = predicted['labels'].detach().cpu().numpy()
        if labels.max(initial=0) >= len(category_ids):
            raise ValueError(
                f'A prediction has label {labels.max()}, but the data set has '
                f'{len(category_ids)} classes: set the vocabulary of the data set.'
            )
        categories = np.array(category_ids, np.int64)[labels]
        keep = np.flatnonzero(categories >= 0)
        scores = predicted['scores'].detach().cpu().numpy().astype(np.float64)[keep]
        rows: dict[str, Any] = {
            'categories': categories[keep],
            'bbox_scores': scores,
            'segm_scores': scores,
        }
        if 'mask_scores' in predicted:
            given = predicted['mask_scores'].detach().cpu().numpy()
            rows['segm_scores'] = given.astype(np.float64)[keep]
        if 'bbox' in self.kinds:
            boxes = predicted['bboxes'].detach().cpu().numpy().astype(np.float64)[keep]
            boxes[:, 2:] -= boxes[:, :2]
            rows['bbox'] = boxes.tolist()
        if 'segm' in self.kinds:
            masks = predicted['masks']
            if isinstance(masks, torch.Tensor):
                kept = masks[torch.from_numpy(keep).to(masks.device)].cpu().numpy()
                kept = kept.astype(np.uint8).transpose(1, 2, 0)
                rows['segm'] = rle.encode(np.asfortranarray(kept))
            else:
                rows['segm'] = [masks[i] for i in keep]
        return rows

    def _match(
        self, kind: str, image_id: Any, truths: list[dict], predicted: Mapping
    ) -> ImageMatches:
        """Let ``pycocotools`` match the detections and instances of one image."""
        single = COCOeval(iouType=kind)
        field = 'bbox' if kind == 'bbox' else 'segmentation'
        for number, ann in enumerate(truths, 1):
            single._gts[image_id, ann['category_id']].append(
                {
                    'id': number,  # 0 would pass for no match
                    'area': ann['area'],
                    'iscrowd': ann.get('iscrowd', 0),
                    'ignore': ann.get('iscrowd', 0),
                    field: ann['bbox'] if kind == 'bbox' else self._encode(ann),
                }
            )
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
            outcome, scored, count = self._match_category(single, image_id, category)
            instances[category] = count
            parts.append((np.full(len(scored), category), scored, outcome))
        return ImageMatches(*_concatenate(parts), instances)

    @staticmethod
    def _match_category(
        single: COCOeval, image_id: Any, category: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return outcomes ``[n, areas, thresholds]``, scores, instances ``[areas]``."""
        single.ious = {(image_id, category): single.computeIoU(image_id, category)}
        outcomes, counts, scores = [], [], np.zeros(0)
        for area in single.params.areaRng:
            found = single.evaluateImg(image_id, category, area, MAX_PER_IMAGE)
            scores = np.array(found['dtScores'], np.float64)
            outcome = np.where(found['dtMatches'] > 0, RIGHT, WRONG)
            outcome[found['dtIgnore'].astype(bool)] = EXCUSED
            outcomes.append(outcome.T.astype(np.uint8))
            counts.append(len(found['gtIgnore']) - int(np.sum(found['gtIgnore'])))
        return np.stack(outcomes, 1), scores, np.array(counts)

    def _encode(self, annotation: dict) -> dict:
        code = self.coco.annToRLE(annotation)
        self._check_size(annotation['image_id'], code['size'])
        return code

    def _check_size(self, image_id: Any, size: Sequence[int]) -> None:
        image = self.coco.imgs[image_id]
        expected = image['height'], image['width']
        if tuple(size) != expected:
            raise ValueError(
                f'A mask of image {image_id!r} is {tuple(size)} (height, width), but '
                f'the instance JSON says {expected}.'
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average precision over categories.

        Args:
            results: One entry per image. Images that a distributed sampler repeated
                count once.

        Returns:
            ``segm_mAP``, ``segm_mAP_50``, ``_75``, for small, medium and large
            instances ``_s``, ``_m``, ``_l``, with ``seen`` ``_seen``, ``_unseen``, the
            same for ``bbox``; in [0, 1], nan without an instance; ``num_missing``.
        """
        images = dict(results)
        category_ids = sorted(set(self._category_ids or ()) - {-1})
        metrics: dict[str, float] = {}
        for kind in self.kinds:
            matches = [images[image_id][kind] for image_id in sorted(images)]
            total = _accumulate(kind, matches, category_ids)
            for name, choice in RESULTS.items():
                metrics[f'{kind}_{name}'] = _mean(total, *choice)
            for name, group in self._split(category_ids).items():
                metrics[f'{kind}_mAP_{name}'] = _mean(total, None, 'all', group)
            self._log(kind, metrics, total)
        metrics['num_missing'] = len(self.coco.imgs) - len(images)
        if metrics['num_missing']:
            print_log(
                f'{metrics["num_missing"]} of {len(self.coco.imgs)} images have no '
                'prediction and are not scored.',
                logger='current',
                level=logging.WARNING,
            )
        return metrics

    def _split(self, category_ids: list[int]) -> dict[str, np.ndarray]:
        """Mark the categories of seen and of unseen classes, if there is a split."""
        if self.seen is None or self._category_ids is None:
            return {}
        is_seen = find_seen(self.seen, self.dataset_meta['classes'])
        mask = np.isin(category_ids, np.array(self._category_ids)[is_seen])
        return {'seen': mask, 'unseen': ~mask}

    def _log(self, kind: str, metrics: Mapping[str, float], total: COCOeval) -> None:
        summary = PrettyTable(['', *RESULTS])
        summary.add_row([kind, *(f'{metrics[f"{kind}_{x}"]:.3f}' for x in RESULTS)])
        if self.classwise:
            for index, category in enumerate(total.params.catIds):
                values = [_mean(total, *x, index=[index]) for x in RESULTS.values()]
                name = self.coco.cats[category]['name']
                summary.add_row([name, *(f'{value:.3f}' for value in values)])
        print_log(f'Average precision\n{summary}', logger='current')


def _concatenate(parts: list[tuple]) -> list[np.ndarray]:
    """Join categories, scores and outcomes of any number of parts."""
    params = COCOeval(iouType='segm').params
    empty = np.zeros((0, len(params.areaRng), len(params.iouThrs)), np.uint8)
    parts = [(np.zeros(0, np.int64), np.zeros(0), empty), *parts]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _accumulate(
    kind: str, images: list[ImageMatches], category_ids: list[int]
) -> COCOeval:
    """Let ``pycocotools`` interpolate the outcomes of all images.

    It concatenates images before it sorts by score, so that one entry may stand for
    all of them.
    """
    total = COCOeval(iouType=kind)
    num_areas = len(total.params.areaRng)
    counts = {category: np.zeros(num_areas, np.int64) for category in category_ids}
    for image in images:
        for category, number in image.instances.items():
            counts[category] += number
    total.evalImgs = []
    categories, scores, outcomes = _concatenate(
        [(x.categories, x.scores, x.outcomes) for x in images]
    )
    for category in category_ids:
        mine = categories == category
        for area in range(num_areas):
            outcome = outcomes[mine, area].T
            total.evalImgs.append(
                {
                    'dtScores': scores[mine],
                    'dtMatches': outcome == RIGHT,
                    'dtIgnore': outcome == EXCUSED,
                    'gtIgnore': np.zeros(counts[category][area]),
                }
            )
    total.params.catIds, total.params.imgIds = category_ids, [0]
    total.params.maxDets = [len(scores)]  # each image's best were taken before
    total._paramsEval = total.params
    with redirect_stdout(io.StringIO()):
        total.accumulate()
    return total


def _mean(
    total: COCOeval, threshold: float | None, area: str, index: Any = slice(None)
) -> float:
    """Average precisions over recalls, thresholds and categories with instances."""
    params = total.params
    precision = total.eval['precision'][..., params.areaRngLbl.index(area), 0]
    if threshold is not None:
        precision = precision[np.isclose(params.iouThrs, threshold)]
    precision = precision[:, :, index]
    precision = precision[precision > -1]
    return float(precision.mean()) if precision.size else float('nan')
