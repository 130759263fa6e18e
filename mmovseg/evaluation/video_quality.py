"""How well panoptic segments and their tracks fit a video: STQ and VPQ."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence

import numpy as np

from .panoptic_metric import SegmentTable, count_overlaps, match_segments

WINDOWS = (1, 2, 4, 6)  # frames, as VIPSeg has them

# Truth, prediction and pixels of all pairs of a frame; and both kinds of codes there.
_Frame = tuple[np.ndarray, np.ndarray, np.ndarray]


class VideoQuality:
    """Compare videos frame by frame; every number is in percent.

    * STQ is the geometric mean of AQ and SQ. AQ asks whether the pixels of a thing keep
      one id over the whole video, whatever its class. SQ is the mean IoU of classes.
    * VPQ is the mean of VPQ-k over the windows: panoptic quality of tubes, which are
      the segments of one track and class in k frames that follow each other.

    No library of the package index computes them. Only sums are kept, and the counts of
    as many frames as the longest window has.

    Args:
        is_thing: Of every class.
        windows: Lengths of the windows of VPQ, in frames.

    Source: Weber et al., STEP, NeurIPS Datasets 2021 (STQ); Kim et al., Video Panoptic
        Segmentation, CVPR 2020 (VPQ).

    Example:
        >>> import numpy as np
        >>> quality = VideoQuality([True, False], windows=(1, 2))
        >>> truth = np.array([[1, 1, 2, 2]])
        >>> for ids in ([7, 7, 2, 2], [8, 8, 2, 2]):  # the id of the thing changes
        ...     guess = np.array([ids])
        ...     quality.add(truth, {1: 0, 2: 1}, guess, {7: 0, 8: 0, 2: 1})
        >>> quality.end_video()
        >>> {name: round(value) for name, value in quality.compute().items()}
        {'STQ': 71, 'AQ': 50, 'SQ': 100, 'VPQ': 75, 'VPQ-1': 100, 'VPQ-2': 50}
    """

    def __init__(
        self, is_thing: Sequence[bool], windows: Sequence[int] = WINDOWS
    ) -> None:
        if not windows or min(windows) < 1:
            raise ValueError(f'Windows have at least one frame, got {windows}.')
        self.is_thing = np.asarray(is_thing, bool)
        self.windows = tuple(windows)
        count = len(self.is_thing)
        self._confusion = np.zeros((count, count + 1), np.int64)
        self._tubes = {k: np.zeros((count, 4)) for k in self.windows}
        self._frames: deque[_Frame] = deque(maxlen=max(self.windows))
        self._pairs: Counter[tuple[int, int]] = Counter()
        self._quality, self._tracks = 0.0, 0  # sum of AQ, and of tracks

    def add(
        self,
        truth: np.ndarray,
        truth_labels: Mapping[int, int],
        guess: np.ndarray,
        guess_labels: Mapping[int, int],
    ) -> None:
        """Take in a frame.

        Args:
            truth: Ids of tracks, at least 0, ``[H, W]``.
            truth_labels: Class of every id; pixels of other ids are not judged.
            guess: Ids that were found, at least 0, ``[H, W]``.
            guess_labels: Class of every id; pixels of other ids are taken for none.

        Raises:
            ValueError: If the sizes differ.
        """
        if truth.shape != guess.shape:
            raise ValueError(
                f'Truth and prediction are of one size, got {truth.shape} and '
                f'{guess.shape}.'
            )
        count = len(self.is_thing)
        left, right, pixels = count_overlaps(truth, guess)
        left = np.array([_code(x, truth_labels, count) for x in left.tolist()])
        right = np.array([_code(x, guess_labels, count) for x in right.tolist()])
        self._frames.append((left, right, pixels))
        judged = left > 0
        # Class of a code; the one behind the last for none.
        classes = np.where(right > 0, (right - 1) % count, count)
        rows = (left[judged] - 1) % count
        np.add.at(self._confusion, (rows, classes[judged]), pixels[judged])
        for row in np.stack([left, right, pixels], 1).tolist():
            self._count(*row)
        for k in self.windows:
            if len(self._frames) >= k:
                self._match(k)

    def _count(self, left: int, right: int, pixels: int) -> None:
        """Count the pixels of a pair of tracks of things; -1 stands for none."""
        if not left:
            return
        count = len(self.is_thing)
        a, b = (
            (code - 1) // count if code and self.is_thing[(code - 1) % count] else -1
            for code in (left, right)
        )
        self._pairs[a, b] += pixels

    def _match(self, k: int) -> None:
        """Match the tubes of the last ``k`` frames."""
        left, right, pixels = (
            np.concatenate(x) for x in zip(*list(self._frames)[-k:], strict=True)
        )
        tables = []
        for codes in (left, right):
            ids = np.unique(codes[codes > 0])
            labels = (ids - 1) % len(self.is_thing)
            tables.append(SegmentTable(ids, labels, np.zeros(len(ids), bool)))
        truth, guess = tables
        iou, missed, wrong = match_segments((left, right, pixels), truth, guess)
        sums = self._tubes[k]
        for column, table, values in (
            (0, truth, iou),
            (1, truth, iou > 0),
            (2, guess, wrong),
            (3, truth, missed),
        ):
            sums[:, column] += np.bincount(table.labels, values, len(sums))

    def end_video(self) -> None:
        """Say that the next frame is of another video, whose ids mean other tracks."""
        sizes: list[Counter[int]] = [Counter(), Counter()]
        for pair, pixels in self._pairs.items():
            for size, track in zip(sizes, pair, strict=True):
                size[track] += pixels
        for (a, b), pixels in self._pairs.items():
            if a >= 0 and b >= 0:
                union = sizes[0][a] + sizes[1][b] - pixels
                self._quality += pixels * pixels / union / sizes[0][a]
        self._tracks += sum(track >= 0 for track in sizes[0])
        self._pairs.clear()
        self._frames.clear()

    def compute(self) -> dict[str, float]:
        """Return STQ, AQ, SQ, VPQ and VPQ-k of all videos that have ended.

        A class without a pixel and without a prediction does not enter a mean. A number
        is NaN where there is nothing to judge.
        """
        inside = np.diag(self._confusion)
        union = self._confusion.sum(1) + self._confusion[:, :-1].sum(0) - inside
        sq = _mean(inside, union)
        aq = self._quality / self._tracks if self._tracks else float('nan')
        values = dict(STQ=(aq * sq) ** 0.5, AQ=aq, SQ=sq)
        tubes = {}
        for k, sums in self._tubes.items():
            iou, right, wrong, missed = sums.T
            tubes[f'VPQ-{k}'] = _mean(iou, right + (wrong + missed) / 2)
        values['VPQ'] = float(np.mean(list(tubes.values())))
        return {name: 100 * value for name, value in {**values, **tubes}.items()}


def _code(track: int, labels: Mapping[int, int], count: int) -> int:
    """Return a number of track and class from 1, or 0 for what has no class."""
    label = labels.get(track)
    return 0 if label is None else track * count + label + 1


def _mean(part: np.ndarray, whole: np.ndarray) -> float:
    there = whole > 0
    return float(np.mean(part[there] / whole[there])) if there.any() else float('nan')
