"""Drawn videos: shapes move over a still ground, and their tracks are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .drawing import (
    CLASSES,
    PATTERNED,
    SOLID,
    STUFF,
    _draw_ground,
    _draw_shape,
    _light,
)
from .textures import draw_integers, triangle_wave

STREAM = 4  # the second number of the seed of a video; those of pictures are lower
STEP = 16  # parts of a pixel that positions are counted in


class VideoFrame(NamedTuple):
    """A frame of a drawn video."""

    image: np.ndarray  # [H, W, 3] uint8, RGB
    tracks: np.ndarray  # [H, W] int32, index into `labels`, the same in all frames
    labels: tuple[int, ...]  # class of every track of the video, index into CLASSES


class _Mover(NamedTuple):
    """A shape and its way: to and fro between the sides of the picture."""

    mask: np.ndarray  # [h, w]
    pixels: np.ndarray  # [h, w, 3]
    start: Sequence[int]  # y, x, in parts of a pixel along the way
    speed: Sequence[int]  # parts of a pixel per frame

    def place(self, number: int, size: int) -> tuple[int, int]:
        """Return the upper left corner in a frame."""
        period = 2 * STEP * (size - len(self.mask))
        ways = (a + number * b for a, b in zip(self.start, self.speed, strict=True))
        y, x = (int(triangle_wave(np.array(way), period)) // STEP for way in ways)
        return y, x


def draw_video(
    seed: int,
    number: int,
    *,
    num_frames: int = 48,
    size: int = 192,
    classes: Sequence[str] = CLASSES,
) -> Iterator[VideoFrame]:
    """Draw a video; a frame depends on these arguments and its place alone.

    Three to six shapes move at constant speeds, turn back at the sides, and hide each
    other, the later ones on top. Half of the videos show two shapes of one class, so a
    class does not tell tracks apart. Of each class of stuff there is one track.

    Args:
        seed: Of the set of videos.
        number: Of the video.
        num_frames: How many frames there are.
        size: Height and width in pixels, at least 32.
        classes: Names of the classes that may be in it, with stuff and solid shapes.

    Yields:
        The frames.

    Raises:
        ValueError: If ``size`` is too small, or ``classes`` lacks stuff or solid
            shapes.

    Example:
        >>> frames = list(draw_video(0, 1, num_frames=2, size=64))
        >>> frames[0].tracks.shape, frames[0].labels == frames[1].labels
        ((64, 64), True)
    """
    stuff, solid, patterned = (
        [name for name in group if name in classes]
        for group in (STUFF, SOLID, PATTERNED)
    )
    if size < 32 or not stuff or not solid:
        raise ValueError(
            'A video needs a size of at least 32, stuff and solid shapes, got '
            f'{size} and {tuple(classes)}.'
        )
    rng = np.random.RandomState([seed, STREAM, number])
    ground, regions, labels = _draw_ground(rng, size, stuff)
    movers = []
    count = int(draw_integers(rng, 3, 6))
    twins = bool(draw_integers(rng, 0, 1))
    for index in range(count):
        group = patterned if draw_integers(rng, 0, 3) == 0 and patterned else solid
        name = group[draw_integers(rng, 0, len(group) - 1)]
        if index == 1 and twins:
            name = CLASSES[labels[-1]]
        labels.append(CLASSES.index(name))
        movers.append(_make_mover(rng, name, size))
    light = draw_integers(rng, 0, 2**31 - 1)
    for place in range(num_frames):
        image, tracks = ground.copy(), regions.copy()
        for index, mover in enumerate(movers, len(labels) - count):
            _put(image, tracks, mover, mover.place(place, size), index)
        # The same light and noise in every frame.
        image = _light(np.random.RandomState(light), image)
        yield VideoFrame(image.clip(0, 255).astype(np.uint8), tracks, tuple(labels))


def _make_mover(rng: np.random.RandomState, name: str, size: int) -> _Mover:
    """Draw a shape, and choose its way."""
    _, mask, pixels = _draw_shape(rng, name, size)
    start = draw_integers(rng, 0, 2 * STEP * size - 1, 2)
    fastest = STEP * size // 32
    speed = draw_integers(rng, -fastest, fastest, 2)
    return _Mover(mask, np.array(pixels), start.tolist(), speed.tolist())


def _put(
    image: np.ndarray,
    tracks: np.ndarray,
    mover: _Mover,
    place: tuple[int, int],
    track: int,
) -> None:
    """Draw a shape on a frame, in place."""
    rows, columns = (slice(start, start + len(mover.mask)) for start in place)
    image[rows, columns][mover.mask] = mover.pixels[mover.mask]
    tracks[rows, columns][mover.mask] = track
