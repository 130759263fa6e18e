"""Large images: segmented tile by tile, and put together without seams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..vocabulary import Vocabulary
from .images import ImageError
from .inferencer import OVSegInferencer
from .photo_stream import read_photo
from .results import Result, Segment, check_min_area, find_boxes, least_pixels

MIN_TILE = 64
# Parts of one thing in two tiles cover this share of each other where tiles overlap.
SAME_THING = 0.5


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
    tile: int = 1024,
    overlap: int = 256,
    score_thr: float | None = None,
    min_area: float = 0.0,
) -> Result:
    """Segment a large image by tiles that overlap, into a panoptic result.

    Every pixel is taken from the tile in which it is farther from the edge. Parts of a
    class of stuff are one segment. Parts of things are one if they are of one class and
    cover each other by half where two tiles overlap.

    Args:
        inferencer: The model.
        image: A path or URL, an array (BGR) or a Pillow image.
        vocabulary: The classes, as in :meth:`OVSegInferencer.segment`.
        tile: Height and width of a tile, in pixels.
        overlap: Least pixels that neighbors share; things that are larger may be split.
        score_thr: See :func:`read_result`.
        min_area: The same; of whole segments, not of their parts.

    Returns:
        The result. A segment's score is the largest of its parts.

    Raises:
        ImageError: If the image cannot be used.
        ValueError: If a tile is too small, or no larger than twice the overlap.
    """
    check_min_area(min_area)
    bgr = read_photo(image)
    height, width = bgr.shape[:2]
    tiles = list(split(height, width, tile, overlap))
    canvas = _Canvas(height, width)

    def handle(index: int, result: Result) -> None:
        canvas.add(tiles[index], result)

    pieces = [np.ascontiguousarray(bgr[x.rows, x.columns]) for x in tiles]
    # One by one, and so in order.
    errors = inferencer.for_each(
        pieces, handle, vocabulary=vocabulary, score_thr=score_thr
    )
    if errors:
        raise ImageError(errors[0]['message'])
    is_path = isinstance(image, (str, Path))
    return replace(
        canvas.finish(least_pixels(min_area, height, width)),
        image=bgr[..., ::-1],
        photo=Path(image).stem if is_path else 'image',
        path=Path(image) if is_path and '://' not in str(image) else None,
    )


class _Canvas:
    """A large image that is put together from the results of its tiles, in order."""

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
        top, left = place.rows.start, place.columns.start
        inside = (
            slice(place.core_rows.start - top, place.core_rows.stop - top),
            slice(place.core_columns.start - left, place.core_columns.stop - left),
        )
        self.numbers[place.core_rows, place.core_columns] = ours[inside]

    def finish(self, least: float = 0.0) -> Result:
        """Return the result of the whole image, of segments with ``least`` pixels."""
        assert self.last is not None
        groups = self.groups
        _join_stuff(groups, self.parts)
        roots = np.array([_find(groups, number) for number in range(len(groups))])
        label_map, segments = _number(roots[self.numbers], roots, self.parts, least)
        return replace(self.last, label_map=label_map, segments=segments)


def _match(
    place: Tile, ours: np.ndarray, other: Tile, theirs: np.ndarray, parts: list[Segment]
) -> Iterator[tuple[int, int]]:
    """Yield pairs of parts of two tiles that are one thing."""
    rows = slice(
        max(place.rows.start, other.rows.start), min(place.rows.stop, other.rows.stop)
    )
    columns = slice(
        max(place.columns.start, other.columns.start),
        min(place.columns.stop, other.columns.stop),
    )
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    first, second = (
        x[
            rows.start - tile.rows.start : rows.stop - tile.rows.start,
            columns.start - tile.columns.start : columns.stop - tile.columns.start,
        ].ravel()
        for tile, x in ((place, ours), (other, theirs))
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
