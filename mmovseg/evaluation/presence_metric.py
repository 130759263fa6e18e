"""How many of the names that an image shows a presence filter keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.logging import print_log

from ..registry import METRICS
from .label_maps import LabelMapMetric


@dataclass(frozen=True)
class ImagePresence:
    """What a filter has done with the names of one image."""

    image_id: Any
    labels: np.ndarray  # [c] annotated classes
    is_kept: np.ndarray  # [c] bool
    num_kept: int  # classes that are left, of all
    img_path: str | None = None
    truth: None = None  # one JSON, one annotation of an image


@METRICS.register_module()
class PresenceMetric(LabelMapMetric):
    """Recall of a presence filter: annotated names that it keeps, in percent.

    * ``recall``: mean over images of the share of annotated classes that stay.
    * ``complete``: share of images whose annotated classes all stay.
    * ``kept``: mean number of classes that stay, annotated or not.
    * ``recall_seen``, ``recall_unseen``: with ``seen``, of these classes alone, over
      the images that show some.

    Reads ``kept_classes`` of the sample, which :class:`MaskFusion` writes; without it
    no name was left out. Ground truth as in :class:`SemanticMetric`. Classes of the
    model behind those of the dataset count in ``kept`` alone.

    Args:
        ann_file: Panoptic JSON.
        seg_prefix: Folder of its PNGs.
        seen: Vocabulary of the classes seen in training: packaged name, path or list.
        ignore_index: As in :class:`SemanticMetric`.
        backend_args: Storage backend of JSON and PNGs, as in ``mmengine.fileio``.
        collect_device: Where to gather results of several processes.
        prefix: Of the names of the results.

    Raises:
        ValueError: If only one of ``ann_file`` and ``seg_prefix`` is given.
    """

    default_prefix = 'presence'
    conventions = {
        'recall': 'mean over images of the share of annotated classes that are kept',
        'recall_seen': 'recall of the classes seen in training',
        'recall_unseen': 'recall of the other classes',
        'complete': 'share of images whose annotated classes are all kept',
        'kept': 'mean number of classes that are kept',
    }

    def __init__(
        self,
        ann_file: str | None = None,
        seg_prefix: str | None = None,
        *,
        seen: str | Sequence[str] | None = None,
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

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Compare the names kept for the images of a batch with the annotation.

        Raises:
            KeyError: If a sample has no ground truth.
        """
        num_classes = len(self.class_names)
        for sample in data_samples:
            image_id, path = self.ground_truth.image_of(sample)
            annotated = np.unique(self.ground_truth.read(sample, num_classes))
            labels = annotated[annotated < num_classes]
            kept = sample.get('kept_classes')
            kept = np.arange(num_classes) if kept is None else kept.cpu().numpy()
            self.results.append(
                ImagePresence(
                    image_id, labels, np.isin(labels, kept), len(kept), img_path=path
                )
            )

    def compute_metrics(self, results: list[ImagePresence]) -> dict[str, float]:
        """Average over images.

        Args:
            results: One entry per image. Images that a distributed sampler repeated
                count once.

        Returns:
            The numbers named in the class; nan where nothing was annotated.
        """
        images = self.ground_truth.one_per_image(results)
        groups = {'': np.ones(len(self.class_names), bool)}
        is_seen = self.find_seen()
        if is_seen is not None:
            groups |= {'_seen': is_seen, '_unseen': ~is_seen}
        metrics = {}
        for suffix, group in groups.items():
            shares = [
                x.is_kept[group[x.labels]].mean()
                for x in images
                if group[x.labels].any()
            ]
            metrics[f'recall{suffix}'] = 100 * _mean(shares)
        shown = [x for x in images if len(x.labels)]
        metrics['complete'] = 100 * _mean([x.is_kept.all() for x in shown])
        metrics['kept'] = _mean([x.num_kept for x in images])
        numbers = ', '.join(f'{key} {value:.1f}' for key, value in metrics.items())
        print_log(f'Names kept: {numbers}', logger='current')
        return metrics


def _mean(values: Sequence) -> float:
    return float(np.mean(values)) if len(values) else float('nan')
