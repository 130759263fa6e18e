"""Large images: segmented tile by tile, and put together without seams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..vocabulary import Vocabulary
from .images import ImageError
from .inferencer import OVSegInferencer
from .photo_stream import read_photo
from .results import (
    Result,
    Segment,
    check_limits,
    find_boxes,
    least_pixels,
    number_classes,
)

MIN_TILE = 64
# Parts of one thing in two tiles cover this share of each other where tiles overlap.
SAME_THING = 0.5
MAX_VOTES = 2**24  # values in memory at a time


class Tile(NamedTuple):
    """A part of an image.

    Attributes:
        rows: All its rows; it overlaps with its neighbors.
        columns: All its columns.
        core_rows: Those that the result takes from it, up to the middle of overlaps.
        core_columns: The same of columns.
    """

    rows: slice
    columns: slice
    core_rows: slice
    core_columns: slice


def split(height: int, width: int, tile: int, overlap: int) -> Iterator[Tile]:
    """Split an image into tiles of one size, row by row.

    Args:
        height: Of the image.
        width: Of the image.
        tile: Height and width of a tile; images that are smaller make smaller ones.
        overlap: Least pixels that neighbors share.

    Raises:
        ValueError: If a tile is too small, or no larger than twice the overlap.
    """
    if tile < MIN_TILE or not 0 <= 2 * overlap < tile:
        raise ValueError(
            f'A tile has at least {MIN_TILE} pixels a side and more than twice the '
            f'overlap, got {tile} and {overlap}.'
        )
    for rows, core_rows in _split_side(height, tile, overlap):
        for columns, core_columns in _split_side(width, tile, overlap):
            yield Tile(rows, columns, core_rows, core_columns)


def _split_side(length: int, tile: int, overlap: int) -> list[tuple[slice, slice]]:
    tile = min(tile, length)
    count = 1 if length <= tile else -(-(length - overlap) // (tile - overlap))
    starts = [round(i * (length - tile) / max(count - 1, 1)) for i in range(count)]
    # Seams are in the middle of what two tiles share.
    seams = [(a + tile + b) // 2 for a, b in pairwise(starts)]
    cores = zip([0, *seams], [*seams, length], strict=True)
    pairs = zip(starts, cores, strict=True)
    return [(slice(x, x + tile), slice(*core)) for x, core in pairs]


def segment_tiles(
    inferencer: OVSegInferencer,
    image: Any,
    vocabulary: Vocabulary | str | Path | Sequence[str] | None = None,
    *,
    task: str = 'panoptic',
    tile: int = 1024,
    overlap: int = 256,
    score_thr: float | None = None,
    min_area: float = 0.0,
) -> Result:
    """Segment a large image by tiles that overlap.

    Panoptic: every pixel is taken from the tile in which it is farther from the edge.
    Parts of a class of stuff are one segment. Parts of things are one if they are of
    one class and cover each other by half where two tiles overlap.

    Semantic: where tiles overlap, the probabilities of the likely classes pass over
    from one tile to the next one, and the pixel gets the class with the largest sum.

    Args:
        inferencer: The model.
        image: A path or URL, an array (BGR) or a Pillow image.
        vocabulary: The classes, as in :meth:`OVSegInferencer.segment`.
        task: ``'panoptic'`` or ``'semantic'``.
        tile: Height and width of a tile, in pixels.
        overlap: Least pixels that neighbors share; things that are larger may be split.
        score_thr: See :func:`read_result`.
        min_area: The same; of whole segments, not of their parts.

    Returns:
        The result. A segment's score is the largest of its parts.

    Raises:
        ImageError: If the image cannot be used.
        ValueError: If a tile is too small, or no larger than twice the overlap, or the
            task is another one.
    """
    check_limits(min_area, score_thr)
    check_task(task)
    bgr = read_photo(image)
    height, width = bgr.shape[:2]
    tiles = list(split(height, width, tile, overlap))
    canvas = make_canvas(task, height, width, overlap)

    def handle(index: int, result: Result) -> None:
        canvas.add(tiles[index], result)

    pieces = [np.ascontiguousarray(bgr[x.rows, x.columns]) for x in tiles]
    # One by one, and so in order.
    errors = inferencer.for_each(
        pieces,
        handle,
        vocabulary=vocabulary,
        task=task,
        score_thr=score_thr,
        top_classes=task == 'semantic',
    )
    if errors:
        raise ImageError(errors[0]['message'])
    is_path = isinstance(image, (str, Path))
    return replace(
        canvas.finish(min_area),
        image=bgr[..., ::-1],
        photo=Path(image).stem if is_path else 'image',
        path=Path(image) if is_path and '://' not in str(image) else None,
    )


def check_task(task: str) -> None:
    """Raise a ValueError unless tiles can be put together for a task."""
    if task not in ('panoptic', 'semantic'):
        raise ValueError(
            f"Tiles are put together for task 'panoptic' or 'semantic', got {task!r}."
        )


def make_canvas(task: str, height: int, width: int, overlap: int) -> Canvas:
    """Return what puts an image together: ``add`` its tiles in order, then ``finish``.

    Args:
        task: ``'panoptic'`` or ``'semantic'``.
        height: Of the image.
        width: Of the image.
        overlap: Least pixels that tiles share.
    """
    if task == 'semantic':
        return _SemanticCanvas(height, width, overlap // 2)
    return _PanopticCanvas(height, width)


class Canvas(Protocol):
    """A large image that is put together from the results of its tiles, in order."""

    def add(self, place: Tile, result: Result) -> None:
        """Take in the result of a tile."""

    def finish(self, min_area: float = 0.0) -> Result:
        """Return the result of the whole image, without small segments."""


class _Likely(NamedTuple):
    """The likely classes of the pixels of a tile.

    Attributes:
        place: Its place.
        labels: ``[k, h, w]``, in the smallest type that holds them.
        weights: Their probabilities, less towards the edges, ``[k, h, w]`` float16.
    """

    place: Tile
    labels: np.ndarray
    weights: np.ndarray


class _SemanticCanvas:
    """Class indices, which pass over from tile to tile near seams.

    Args:
        height: Of the image.
        width: Of the image.
        margin: Pixels on either side of a seam.
    """

    def __init__(self, height: int, width: int, margin: int) -> None:
        self.labels = np.zeros((height, width), np.int32)
        self.margin = margin
        self.rows: list[list[_Likely]] = []  # of tiles, those that are still needed
        self.done = 0  # of these rows
        self.last: Result | None = None

    def add(self, place: Tile, result: Result) -> None:
        """Take in the result of a tile."""
        assert result.top_labels is not None and result.top_probabilities is not None
        self.last = replace(result, image=None, top_labels=None, top_probabilities=None)
        if not self.rows or self.rows[-1][0].place.rows != place.rows:
            # The rows before are complete, and the last but one has all its neighbors.
            self._blend(len(self.rows) - 1)
            self.rows.append([])
        height, width = self.labels.shape
        ramp = np.outer(
            self._ramp(place.rows, place.core_rows, height),
            self._ramp(place.columns, place.core_columns, width),
        )
        self.rows[-1].append(
            _Likely(
                place,
                result.top_labels.astype(np.min_scalar_type(len(result.names))),
                (result.top_probabilities * ramp).astype(np.float16),
            )
        )

    def finish(self, min_area: float = 0.0) -> Result:
        """Return the result of the whole image."""
        assert self.last is not None
        self._blend(len(self.rows))
        label_map, found = number_classes(self.labels, min_area)
        names, is_thing = self.last.names, self.last.is_thing
        segments = [
            Segment(name=names[x['label']], isthing=is_thing[x['label']], **x)
            for x in found
        ]
        return replace(self.last, label_map=label_map, segments=segments)

    def _ramp(self, whole: slice, core: slice, length: int) -> np.ndarray:
        """Return weights along one side: 1 inside, 0.5 at a seam, 0 a margin behind."""
        places = np.arange(whole.start, whole.stop) + 0.5
        weights = np.ones(len(places))
        for inside, is_seam in (
            (places - core.start, core.start > 0),
            (core.stop - places, core.stop < length),
        ):
            if is_seam and self.margin:
                weights *= np.clip(0.5 + inside / (2 * self.margin), 0, 1)
            elif is_seam:
                weights *= inside > 0
        return weights

    def _blend(self, stop: int) -> None:
        """Find the classes of the rows of tiles before ``stop``."""
        for index in range(self.done, stop):
            around = [
                x for row in self.rows[max(index - 1, 0) : index + 2] for x in row
            ]
            for own in self.rows[index]:
                self._blend_tile(own, around)
        self.done = max(self.done, stop)
        # What comes later needs the last row that is done, and those after it.
        while self.done > 1:
            del self.rows[0]
            self.done -= 1

    def _blend_tile(self, own: _Likely, around: list[_Likely]) -> None:
        core = own.place.core_rows, own.place.core_columns
        self.labels[core] = _cut(own.labels, own.place, core)[0]
        for other in around:
            cores = other.place.core_rows, other.place.core_columns
            wide = [slice(x.start - self.margin, x.stop + self.margin) for x in cores]
            shared = _overlap(core, (wide[0], wide[1]))
            if other is not own and shared is not None:
                self._vote(shared, around)

    def _vote(self, area: tuple[slice, slice], around: list[_Likely]) -> None:
        """Give every pixel of an area the class with the largest sum."""
        assert self.last is not None
        rows, columns = area
        width = columns.stop - columns.start
        step = max(1, MAX_VOTES // (len(self.last.names) * width))
        for top in range(rows.start, rows.stop, step):
            strip = slice(top, min(top + step, rows.stop)), columns
            shape = strip[0].stop - top, width
            votes = np.zeros((len(self.last.names), *shape), np.float32)
            for tile in around:
                part = _overlap(strip, (tile.place.rows, tile.place.columns))
                if part is None:
                    continue
                y, x = np.ogrid[
                    part[0].start - top : part[0].stop - top,
                    part[1].start - columns.start : part[1].stop - columns.start,
                ]
                labels = _cut(tile.labels, tile.place, part)
                weights = _cut(tile.weights, tile.place, part)
                for label, weight in zip(labels, weights, strict=True):
                    votes[label, y, x] += weight
            self.labels[strip] = votes.argmax(0)


def _overlap(
    first: tuple[slice, slice], second: tuple[slice, slice]
) -> tuple[slice, slice] | None:
    """Return rows and columns that two places share."""
    rows, columns = (
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    return rows, columns


def _cut(values: np.ndarray, place: Tile, area: tuple[slice, slice]) -> np.ndarray:
    """Return the part of a tile's values, ``[..., h, w]``, that lies in an area."""
    rows, columns = area
    top, left = place.rows.start, place.columns.start
    return values[
        ...,
        rows.start - top : rows.stop - top,
        columns.start - left : columns.stop - left,
    ]


class _PanopticCanvas:
    """Numbers of segments; parts of one thing or of a class of stuff are joined."""

    def __init__(self, height: int, width: int) -> None:
        self.numbers = np.zeros((height, width), np.int32)  # of parts, 0 for none
        self.seen: list[
            tuple[Tile, np.ndarray]
        ] = []  # tiles that may overlap later ones
        self.parts: list[Segment] = []
        self.groups = [0]  # the part that stands for each, from 1
        self.last: Result | None = None

    def add(self, place: Tile, result: Result) -> None:
        """Take in the result of a tile."""
        self.last = replace(result, image=None)
        numbers = np.zeros(len(result.segments) + 1, np.int32)
        for segment in result.segments:
            self.parts.append(segment)
            self.groups.append(len(self.parts))
            numbers[segment.id] = len(self.parts)
        ours = numbers[result.label_map]
        self.seen = [x for x in self.seen if x[0].rows.stop > place.rows.start]
        for other, theirs in self.seen:
            for pair in _match(place, ours, other, theirs, self.parts):
                _join(self.groups, *pair)
        self.seen.append((place, ours))
        core = place.core_rows, place.core_columns
        self.numbers[core] = _cut(ours, place, core)

    def finish(self, min_area: float = 0.0) -> Result:
        """Return the result of the whole image, without small segments."""
        assert self.last is not None
        least = least_pixels(min_area, *self.numbers.shape)
        groups = self.groups
        _join_stuff(groups, self.parts)
        roots = np.array([_find(groups, number) for number in range(len(groups))])
        label_map, segments = _number(roots[self.numbers], roots, self.parts, least)
        return replace(self.last, label_map=label_map, segments=segments)


def _match(
    place: Tile, ours: np.ndarray, other: Tile, theirs: np.ndarray, parts: list[Segment]
) -> Iterator[tuple[int, int]]:
    """Yield pairs of parts of two tiles that are one thing."""
    shared = _overlap((place.rows, place.columns), (other.rows, other.columns))
    if shared is None:
        return
    first, second = (
        _cut(x, tile, shared).ravel() for tile, x in ((place, ours), (other, theirs))
    )
    base = len(parts) + 1
    codes, counts = np.unique(
        first.astype(np.int64) * base + second, return_counts=True
    )
    areas = [
        dict(zip(*np.unique(x, return_counts=True), strict=True))
        for x in (first, second)
    ]
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        a, b = divmod(code, base)
        if not (a and b) or parts[a - 1].label != parts[b - 1].label:
            continue
        if count >= SAME_THING * (areas[0][a] + areas[1][b] - count):
            yield a, b


def _find(groups: list[int], number: int) -> int:
    while groups[number] != number:
        number = groups[number]
    return number


def _join(groups: list[int], a: int, b: int) -> None:
    a, b = _find(groups, a), _find(groups, b)
    groups[max(a, b)] = min(a, b)


def _join_stuff(groups: list[int], parts: list[Segment]) -> None:
    first: dict[int, int] = {}
    for number, part in enumerate(parts, 1):
        if not part.isthing:
            _join(groups, first.setdefault(part.label, number), number)


def _number(
    canvas: np.ndarray, roots: np.ndarray, parts: list[Segment], least: float
) -> tuple[np.ndarray, list[Segment]]:
    """Number the segments by their scores, best first, without small ones."""
    scores: dict[int, float] = {}
    for root, part in zip(roots[1:].tolist(), parts, strict=True):
        scores[root] = max(scores.get(root, 0.0), part.score or 0.0)
    found = zip(*np.unique(canvas, return_counts=True), strict=True)
    there = [int(x) for x, area in found if x and area >= least]
    there.sort(key=lambda x: (-scores[x], x))
    numbers = np.zeros(len(roots), np.int32)
    numbers[there] = np.arange(1, len(there) + 1)
    label_map = numbers[canvas]
    areas = np.bincount(label_map.ravel(), minlength=len(there) + 1)
    boxes = find_boxes(label_map)
    segments = [
        replace(
            parts[root - 1],
            id=number,
            score=scores[root],
            area=int(areas[number]),
            box=boxes[number],
            mask=None,
        )
        for number, root in enumerate(there, 1)
    ]
    return label_map, segments
