"""Masks as polygons, from which the tools draw the very same masks again."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from scipy.spatial import cKDTree

Point = tuple[int, int]


def trace_centers(mask: np.ndarray) -> list[np.ndarray]:
    """Trace a mask through the centers of its border pixels.

    Tools that draw polygons with their outline (OpenCV, Pillow) get the mask back.

    Args:
        mask: ``[H, W]``, nonzero inside.

    Returns:
        Per part of the mask (pixels that touch, also at a corner) one polygon
        ``[N, 2]``, x and y, int32. A hole is joined to the outline by a line that runs
        through the mask there and back. Largest part first.
    """
    return [_drop_middles(ring) for ring in _trace(mask)]


def trace_edges(mask: np.ndarray) -> list[np.ndarray]:
    """Trace a mask along the edges of its pixels; the whole first pixel is 0 to 1.

    This is what COCO's polygons are. See :func:`trace_centers` for the rest.
    """
    # A pixel becomes 2 x 2; the centers of those are left and right of the edges.
    doubled = np.repeat(np.repeat(np.asarray(mask, bool), 2, 0), 2, 1)
    return [_drop_middles((ring + 1) // 2) for ring in _trace(doubled)]


def join_parts(parts: Iterable[np.ndarray]) -> np.ndarray:
    """Join polygons to one by lines there and back between their nearest points.

    A tool that draws outlines draws these lines too, one pixel wide.

    Args:
        parts: Polygons ``[N, 2]``, at least one.
    """
    joined, *rest = parts
    for part in rest:
        distances, nearest = cKDTree(joined).query(part)
        at = int(distances.argmin())
        joined = _insert(joined, int(nearest[at]), part, at)
    return joined


def _trace(mask: np.ndarray) -> list[np.ndarray]:
    """Return a closed walk in steps of one pixel around every part and its holes."""
    mask = np.ascontiguousarray(mask, np.uint8)
    rings, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts = []
    for index, (_, _, child, parent) in enumerate(tree[0] if rings else ()):
        if parent >= 0:
            continue  # a hole
        holes = []
        while child >= 0:
            holes.append(rings[child][:, 0])
            child = tree[0][child][0]
        outer = rings[index][:, 0]
        parts.append((cv2.contourArea(outer), _join_holes(outer, holes)))
    # Stable, and by place where areas are equal: the order is always the same.
    parts.sort(key=lambda x: -x[0])
    return [ring for _, ring in parts]


def _join_holes(outer: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """Join every hole to what lies left of it; all of that is inside the mask."""
    starts = [int(np.lexsort((x[:, 1], x[:, 0]))[0]) for x in holes]  # leftmost
    order = sorted(range(len(holes)), key=lambda i: tuple(holes[i][starts[i]]))
    ring: list[Point] = list(map(tuple, outer.tolist()))
    for number in order:
        hole, start = list(map(tuple, holes[number].tolist())), starts[number]
        places = {point: index for index, point in enumerate(ring)}
        x, y = hole[start]
        line = []
        while (x, y) not in places:
            line.append((x, y))
            x -= 1
        at = places[x, y]
        way = [*line[::-1], *hole[start:], *hole[: start + 1], *line[1:], (x, y)]
        # Where there is no line the hole begins at the ring itself.
        ring[at + 1 : at + 1] = way if line else [*hole[start:], *hole[: start + 1]][1:]
    return np.asarray(ring, np.int32)


def _insert(ring: np.ndarray, at: int, part: np.ndarray, start: int) -> np.ndarray:
    """Go from a point of a ring to one of another, around it, and back."""
    around = [*part[start:], *part[: start + 1], ring[at]]
    return np.concatenate([ring[: at + 1], np.asarray(around), ring[at + 1 :]])


def _drop_middles(ring: np.ndarray) -> np.ndarray:
    """Drop points in the middle of straight lines, and those given twice in a row."""
    ring = ring[(ring != np.roll(ring, 1, 0)).any(1)] if len(ring) > 1 else ring
    if len(ring) < 3:
        return ring
    before = np.sign(ring - np.roll(ring, 1, 0))
    after = np.sign(np.roll(ring, -1, 0) - ring)
    # Steps are of one pixel, so equal signs mean one direction.
    return ring[(before != after).any(1)]
