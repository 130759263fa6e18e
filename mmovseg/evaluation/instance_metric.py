"""COCO average precision for data sets where things do not come first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.evaluation import CocoMetric

from ..registry import METRICS


@METRICS.register_module()
class InstanceMetric(CocoMetric):
    """``mmdet.CocoMetric`` that goes by category id instead of name and position.

    mmdet takes label ``i`` for the i-th category of the instance JSON whose name is
    a class name. That holds for COCO, where things come first and names agree. On
    ADE20K in official order the two files name and number the classes differently.
    Here label ``i`` has the id ``category_ids[i]`` of the data set's metainfo (see
    ``PanopticDataset``); predictions of categories that the instance JSON lacks
    (stuff) are left out. Without ``category_ids`` this is ``mmdet.CocoMetric``.
    Arguments are its.
    """

    default_prefix = 'instance'
    conventions = {
        'segm_mAP': 'of COCO: masks, IoU 0.50 to 0.95, 100 results; in [0, 1]',
        'bbox_mAP': 'of COCO: boxes, IoU 0.50 to 0.95, 100 results; in [0, 1]',
    }

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Renumber the labels to positions in the instance JSON, and collect.

        Raises:
            ValueError: If the instance JSON numbers the categories in another way than
                the data set: it has instances of what is stuff there.
        """
        meta = self.dataset_meta or {}
        category_ids = meta.get('category_ids')
        if category_ids is not None and self._coco_api is not None:
            self._check_categories(meta)
            self.cat_ids = list(self._coco_api.get_cat_ids())
            position = {cat: i for i, cat in enumerate(self.cat_ids)}
            positions = torch.tensor([position.get(cat, -1) for cat in category_ids])
            data_samples = [self._renumber(s, positions) for s in data_samples]
        super().process(data_batch, data_samples)

    def _check_categories(self, meta: Mapping) -> None:
        """Refuse, for example, mmdet's things-first file of ADE20K."""
        categories = zip(
            meta['category_ids'],
            meta['classes'],
            meta.get('is_thing', [True] * len(meta['classes'])),
            strict=True,
        )
        for category_id, name, is_thing in categories:
            if not is_thing and category_id in self._coco_api.catToImgs:
                theirs = self._coco_api.cats[category_id]['name']
                raise ValueError(
                    f'The instance JSON has instances of category {category_id}, '
                    f'{theirs!r}, which is {name!r} and stuff in the data set. The two '
                    'must number the categories alike; for ADE20K make both with '
                    'tools/dataset_converters/ade20k_panoptic.py.'
                )

    @staticmethod
    def _renumber(sample: dict, positions: torch.Tensor) -> dict:
        """Return a copy of the sample, the caller's stays as it is."""
        pred = sample['pred_instances']
        labels = positions.to(pred['labels'].device)[pred['labels']]
        keep = labels >= 0
        kept = {
            key: pred[key][keep]
            for key in ('bboxes', 'scores', 'masks', 'mask_scores')
            if key in pred
        }
        return {**sample, 'pred_instances': {**kept, 'labels': labels[keep]}}
