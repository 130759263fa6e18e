"""Average precision by the rules of ``pycocotools``, image by image."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

MAX_PER_IMAGE = 100  # best detections of a category and an image that count
WRONG, RIGHT, EXCUSED = range(3)


@dataclass(frozen=True)
class ImageMatches:
    """Detections of one image, matched with its instances."""

    categories: np.ndarray  # [n] id of the category of every detection
    scores: np.ndarray  # [n]
    outcomes: np.ndarray  # [n, areas, thresholds] WRONG, RIGHT or EXCUSED
    instances: dict[int, np.ndarray]  # category: instances to find, [areas]


def match_category(
    single: COCOeval, image_id: Any, category: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return outcomes ``[n, areas, thresholds]``, scores, instances ``[areas]``."""
    single.ious = {(image_id, category): single.computeIoU(image_id, category)}
    outcomes, counts = [], []
    scores: np.ndarray = np.zeros(0)
    for area in single.params.areaRng:
        found = single.evaluateImg(image_id, category, area, MAX_PER_IMAGE)
        scores = np.array(found['dtScores'], np.float64)
        outcome = np.where(found['dtMatches'] > 0, RIGHT, WRONG)
        outcome[found['dtIgnore'].astype(bool)] = EXCUSED
        outcomes.append(outcome.T.astype(np.uint8))
        counts.append(len(found['gtIgnore']) - int(np.sum(found['gtIgnore'])))
    return np.stack(outcomes, 1), scores, np.array(counts)


def concatenate(
    parts: Iterable[tuple[np.ndarray, ...]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join categories, scores and outcomes of any number of parts."""
    params = COCOeval(iouType='segm').params
    empty = np.zeros((0, len(params.areaRng), len(params.iouThrs)), np.uint8)
    parts = [(np.zeros(0, np.int64), np.zeros(0), empty), *parts]
    categories, scores, outcomes = map(np.concatenate, zip(*parts, strict=True))
    return categories, scores, outcomes


def accumulate(
    kind: str, images: list[ImageMatches], category_ids: Sequence[int]
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
    categories, scores, outcomes = concatenate(
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


def mean_precision(
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
