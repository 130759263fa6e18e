"""Give the segments of a video ids that stay with an object."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from .results import Result, Segment

MEMORY = 30  # frames
SAME_PLACE = 0.2  # least overlap of a thing with its track
SAME_LOOK = 0.8  # least likeness of a thing that does not overlap with its track
LOOK = 0.5  # weight of the likeness where both are known
OTHER_NAME = 0.25  # what another name costs
NEAR = 1.5  # how far a thing moves in a frame at most, in sizes of it
KEPT = 0.8  # share of the embedding of a track that a new frame leaves
UNKNOWN = -2.0  # likeness, where one of both has no embedding
MOST_TRACKS = 500  # things that are remembered


@dataclass
class _Track:
    """A thing: where and when it was last seen, and how it looks."""

    id: int
    place: tuple[int, int]  # top and left of the mask
    mask: np.ndarray  # bool
    seen: int  # the last frame
    names: Counter[int]  # sums of scores
    speed: np.ndarray  # y and x per frame
    look: np.ndarray | None = None  # of length 1

    def move(self, frames: int) -> tuple[int, int]:
        """Return top and left as they are to be expected some frames later."""
        y, x = np.rint(self.place + frames * self.speed).astype(int).tolist()
        return y, x


class Tracker:
    """Match the segments of each frame with those of the frames before.

    Things are matched by linear assignment. A pair is worth the overlap (IoU) of the
    thing with the mask of the track, moved on at its speed, and half of the likeness of
    their embeddings, where there are some; another name costs a quarter. A thing
    continues a track if they overlap by a fifth, or look alike and are near. The name
    of a track is that with the largest sum of scores so far. Each class of stuff is one
    track.

    Ids are 1, 2, ... in the order of appearance, and never used again.

    Args:
        memory: Frames after which a thing that is not seen is forgotten.

    Raises:
        ValueError: If ``memory`` is below 1.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        if memory < 1:
            raise ValueError(f'memory must be at least 1 frame, got {memory}.')
        self.memory = memory
        self._tracks: list[_Track] = []
        self._stuff: dict[int, int] = {}
        self._frame, self._last_id = -1, 0

    def update(self, result: Result, looks: np.ndarray | None = None) -> Result:
        """Take in a frame.

        Args:
            result: Panoptic.
            looks: Unit rows, one per segment, ``[N, D]``, of zeros where nothing is
                known; see :class:`RegionEmbedder`. None: places alone count.

        Returns:
            The same segments with the ids of their tracks.
        """
        self._frame += 1
        self._forget()
        things = [i for i, x in enumerate(result.segments) if x.isthing]
        found = [self._start(result, i, looks) for i in things]
        pairs = self._match(found)
        ids = dict.fromkeys(range(len(result.segments)), 0)
        labels = {i: x.label for i, x in enumerate(result.segments)}
        for number, (index, thing) in enumerate(zip(things, found, strict=True)):
            track = pairs.get(number)
            if track is None:
                thing.id = self._next_id()
                self._tracks.append(track := thing)
            else:
                self._continue(track, thing)
            ids[index] = track.id
            labels[index] = track.names.most_common(1)[0][0]
        for index, segment in enumerate(result.segments):
            if not segment.isthing:
                if segment.label not in self._stuff:
                    self._stuff[segment.label] = self._next_id()
                ids[index] = self._stuff[segment.label]
        return _renumber(result, ids, labels)

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _forget(self) -> None:
        oldest = self._frame - self.memory
        kept = [x for x in self._tracks if x.seen >= oldest]
        kept.sort(key=lambda x: x.seen)
        self._tracks = kept[-MOST_TRACKS:]

    def _start(self, result: Result, index: int, looks: np.ndarray | None) -> _Track:
        """Make a track without an id of one segment."""
        segment = result.segments[index]
        x, y, width, height = segment.box
        mask = result.label_map[y : y + height, x : x + width] == segment.id
        look = None
        if looks is not None and looks[index].any():
            look = looks[index]
        names = Counter({segment.label: segment.score or 0.0})
        return _Track(0, (y, x), mask, self._frame, names, np.zeros(2), look)

    def _match(self, found: list[_Track]) -> dict[int, _Track]:
        """Return the tracks that things continue, by the number of the thing."""
        worth = np.full((len(found), len(self._tracks)), -1.0)
        likeness = _compare_looks(found, self._tracks)
        moved = [x.move(self._frame - x.seen) for x in self._tracks]
        touch = _find_touching(
            [(x.place, x.mask.shape) for x in found],
            [
                (place, x.mask.shape)
                for place, x in zip(moved, self._tracks, strict=True)
            ],
        )
        for i, j in np.argwhere(touch | (likeness >= SAME_LOOK)).tolist():
            pair = found[i], self._tracks[j]
            worth[i, j] = self._compare(*pair, moved[j], likeness[i, j])
        rows, columns = linear_sum_assignment(worth, maximize=True)
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        return {i: self._tracks[j] for i, j in pairs if worth[i, j] > -1}

    def _compare(
        self, thing: _Track, track: _Track, place: tuple[int, int], likeness: float
    ) -> float:
        """Return what a pair is worth, or -1 for one that cannot be."""
        same_place = _overlap(thing.place, thing.mask, place, track.mask)
        worth = same_place
        if likeness > UNKNOWN:
            worth += LOOK * likeness
        if same_place < SAME_PLACE:
            reach = NEAR * (self._frame - track.seen) * max(track.mask.shape)
            if likeness < SAME_LOOK or _distance(thing, track) > reach:
                return -1.0
        if thing.names.keys() != {track.names.most_common(1)[0][0]}:
            worth -= OTHER_NAME
        return max(worth, -0.99)

    def _continue(self, track: _Track, thing: _Track) -> None:
        frames = self._frame - track.seen
        step = (_center(thing) - _center(track)) / frames
        track.speed = (track.speed + step) / 2
        track.place, track.mask, track.seen = thing.place, thing.mask, thing.seen
        track.names.update(thing.names)
        if track.look is None:
            track.look = thing.look
        elif thing.look is not None:
            look = KEPT * track.look + (1 - KEPT) * thing.look
            track.look = look / max(float(np.linalg.norm(look)), 1e-6)


def _compare_looks(things: list[_Track], tracks: list[_Track]) -> np.ndarray:
    """Return the likeness of all pairs, ``[N, M]``."""
    likeness = np.full((len(things), len(tracks)), UNKNOWN)
    rows = [i for i, x in enumerate(things) if x.look is not None]
    columns = [j for j, x in enumerate(tracks) if x.look is not None]
    if rows and columns:
        looks = (
            np.stack([x[i].look for i in chosen])  # type: ignore[misc]
            for x, chosen in ((things, rows), (tracks, columns))
        )
        first, second = looks
        likeness[np.ix_(rows, columns)] = first @ second.T
    return likeness


def _find_touching(first: list, second: list) -> np.ndarray:
    """Return which pairs of boxes touch, by upper left corner and size, ``[N, M]``."""
    a, b = (np.asarray(x, float).reshape(-1, 2, 2) for x in (first, second))
    start = np.maximum(a[:, None, 0], b[:, 0])
    stop = np.minimum(a[:, None].sum(2), b.sum(1))
    return (start < stop).all(-1)


def _center(track: _Track) -> np.ndarray:
    return np.add(track.place, np.array(track.mask.shape) / 2)


def _distance(a: _Track, b: _Track) -> float:
    return float(np.linalg.norm(_center(a) - _center(b)))


def _overlap(
    place: tuple[int, int],
    mask: np.ndarray,
    other_place: tuple[int, int],
    other: np.ndarray,
) -> float:
    """Return the IoU of two masks by their upper left corners."""
    first, second = [], []
    for a, b, m, n in zip(place, other_place, mask.shape, other.shape, strict=True):
        start, stop = max(a, b), min(a + m, b + n)
        if start >= stop:
            return 0.0
        first.append(slice(start - a, stop - a))
        second.append(slice(start - b, stop - b))
    both = np.count_nonzero(mask[first[0], first[1]] & other[second[0], second[1]])
    return both / max(np.count_nonzero(mask) + np.count_nonzero(other) - both, 1)


def _renumber(result: Result, ids: dict[int, int], labels: dict[int, int]) -> Result:
    """Return a result with other ids and labels, by the place of the segment."""
    table = np.zeros(int(result.label_map.max(initial=0)) + 1, np.int32)
    segments: list[Segment] = []
    for index, segment in enumerate(result.segments):
        table[segment.id] = ids[index]
        label = labels[index]
        segments.append(
            replace(segment, id=ids[index], label=label, name=result.names[label])
        )
    return replace(result, label_map=table[result.label_map], segments=segments)
