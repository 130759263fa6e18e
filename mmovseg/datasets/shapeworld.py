"""ShapeWorld: drawn images with exact panoptic labels, for demos and tests.

Textured stuff fills the picture, coloured shapes lie on it and hide each other.
Every pixel is computed with integers from one ``RandomState``, so a seed gives
the same pictures on every machine.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

COLOURS = {  # saturated RGB, unlike any texture
    'red': (225, 30, 35),
    'yellow': (245, 215, 30),
    'blue': (30, 60, 230),
    'green': (20, 190, 60),
    'purple': (150, 40, 190),
    'orange': (245, 130, 20),
}


class ShapeSample(NamedTuple):
    """One drawn picture and its labels."""

    image: np.ndarray  # [H, W, 3] uint8, RGB
    segments: np.ndarray  # [H, W] int32, index into `labels`
    labels: list[int]  # class of every segment, index into CLASSES


def _grain(rng: np.random.RandomState, shape: tuple, amount: int) -> np.ndarray:
    return rng.randint(-amount, amount + 1, shape)


def _triangle_wave(x: np.ndarray, period: int) -> np.ndarray:
    """Rise and fall between 0 and period // 2; integer, unlike sin, is exact."""
    return np.abs(x % period - period // 2)


def _grass(rng: np.random.RandomState, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    blades = _grain(rng, (y.shape[0] // 5 + 1, x.shape[1]), 28).repeat(5, axis=0)
    return blades[: y.shape[0]][..., None] + np.array((70, 115, 50))


def _water(rng: np.random.RandomState, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    waves = _triangle_wave(y + _triangle_wave(x + rng.randint(64), 32) // 3, 10)
    return waves[..., None] * np.array((7, 7, 6)) + np.array((50, 105, 125))


def _sand(rng: np.random.RandomState, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    speckles = _grain(rng, (y.shape[0], x.shape[1]), 22)
    return speckles[..., None] + np.array((195, 175, 135))


def _brick(rng: np.random.RandomState, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    rows = y // 9
    mortar = (y % 9 < 2) | ((x + rows % 2 * 9 + rng.randint(18)) % 18 < 2)
    return np.where(mortar[..., None], (170, 165, 160), (135, 80, 65))


TEXTURES: dict[str, Callable] = {
    'grass': _grass,
    'water': _water,
    'sand': _sand,
    'brick': _brick,
}


def _circle(dy: np.ndarray, dx: np.ndarray, radius: int) -> np.ndarray:
    return dy * dy + dx * dx <= radius * radius


def _square(dy: np.ndarray, dx: np.ndarray, radius: int) -> np.ndarray:
    return np.maximum(np.abs(dy), np.abs(dx)) * 8 <= radius * 7


def _triangle(dy: np.ndarray, dx: np.ndarray, radius: int) -> np.ndarray:
    return (dy * 4 <= radius * 3) & (np.abs(dx) * 7 <= (dy + radius) * 4)


def _cross(dy: np.ndarray, dx: np.ndarray, radius: int) -> np.ndarray:
    far, near = np.maximum(np.abs(dy), np.abs(dx)), np.minimum(np.abs(dy), np.abs(dx))
    return (far <= radius) & (near * 3 <= radius)


SHAPES: dict[str, Callable] = {
    'circle': _circle,
    'square': _square,
    'triangle': _triangle,
    'cross': _cross,
}

# The classes of the data set, in label order. Stuff comes first on purpose: code
# that takes thing classes for the first k labels, or class 0 for void, fails here.
STUFF = ('grass', 'water', 'sand', 'brick')
THINGS = tuple(
    f'{colour} {shape}'
    for colour, shape in itertools.product(
        ('red', 'yellow', 'blue'), ('circle', 'square', 'triangle')
    )
)
CLASSES = STUFF + THINGS
# To draw labels with: the textures' tones, and three shades of every colour.
PALETTE = (
    (70, 115, 50),
    (50, 105, 125),
    (195, 175, 135),
    (135, 80, 65),
    *(
        tuple(part * shade // 100 for part in COLOURS[colour])
        for colour, shade in itertools.product(('red', 'yellow', 'blue'), (100, 75, 50))
    ),
)


def _draw_ground(
    rng: np.random.RandomState, y: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Fill the picture with two or three stuff regions, cut by slanted lines."""
    size = y.shape[0]
    labels = rng.permutation(len(STUFF))[: rng.randint(2, 4)].tolist()
    segments = np.zeros((size, size), np.int32)
    # Parallel cuts, a third to two thirds apart, keep every region wide enough.
    slope_y, slope_x = rng.randint(4, 9), rng.randint(-4, 5)
    height = (slope_y * (2 * y - size) + slope_x * (2 * x - size)) * len(labels)
    for index in range(1, len(labels)):
        cut = size * slope_y * (2 * index - len(labels))
        jitter = rng.randint(-size, size + 1) * slope_y // 4
        segments[height > cut + jitter] = index
    image = np.zeros((size, size, 3), np.int64)
    for index, label in enumerate(labels):
        texture = TEXTURES[STUFF[label]](rng, y, x)
        image = np.where((segments == index)[..., None], texture, image)
    return image, segments, labels


def draw_sample(rng: np.random.RandomState, size: int = 128) -> ShapeSample:
    """Draw one picture: two or three textures, up to five shapes on them.

    Args:
        rng: Source of every choice.
        size: Height and width in pixels, at least 32.

    Returns:
        The picture. Every segment has at least one pixel, every shape keeps at
        least half of its pixels visible, and at least one shape is there.

    Raises:
        ValueError: If ``size`` is too small to tell shapes apart.
    """
    if size < 32:
        raise ValueError(f'size must be at least 32, got {size}.')
    y, x = np.mgrid[:size, :size]
    image, segments, labels = _draw_ground(rng, y, x)
    areas: dict[int, int] = {}  # segment -> pixels of the whole shape
    for _ in range(rng.randint(2, 6)):
        thing = rng.randint(len(THINGS))
        colour, shape = THINGS[thing].split()
        radius = rng.randint(size * 12 // 128, size * 25 // 128 + 1)
        cy, cx = rng.randint(radius, size - radius, 2)
        mask = SHAPES[shape](y - cy, x - cx, radius)
        tone = np.array(COLOURS[colour]) + _grain(rng, 3, 12)
        if any(
            2 * np.count_nonzero((segments == other) & ~mask) < area
            for other, area in areas.items()
        ):
            continue  # would hide most of an earlier shape
        areas[len(labels)] = np.count_nonzero(mask)
        segments[mask] = len(labels)
        image[mask] = tone // 2  # a dark rim parts shapes of one colour
        image[SHAPES[shape](y - cy, x - cx, radius - 2)] = tone
        labels.append(len(STUFF) + thing)
    # A stuff region can vanish below the shapes: renumber what is left.
    used, flat = np.unique(segments, return_inverse=True)
    image = image + _grain(rng, (size, size, 1), 6)
    return ShapeSample(
        image=image.clip(0, 255).astype(np.uint8),
        segments=flat.reshape(size, size).astype(np.int32),
        labels=[labels[index] for index in used],
    )
