"""ShapeWorld: drawn images with exact panoptic labels, for demos and tests.

Textured stuff fills the picture; shapes, solid or patterned, lie on it, turned at any
angle, and hide each other. Every pixel is computed with integers from one
``RandomState``, so a seed gives the same pictures on every machine.

A part of the classes is left out of training: see ``UNSEEN``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np

from .textures import (
    TEXTURES,
    TONES,
    draw_integers,
    draw_texture,
    smooth_noise,
)

COLORS = {  # saturated RGB, unlike any texture
    'red': (222, 28, 34),
    'orange': (248, 132, 16),
    'yellow': (250, 226, 40),
    'green': (24, 184, 60),
    'blue': (32, 62, 228),
    'purple': (150, 44, 196),
}
WHITE = (240, 240, 240)  # in patterns only
PATTERNS = ('striped', 'dotted')

ONE = 1024  # of the fixed-point numbers below
# Sines of 0 to 90 degrees in steps of 15, times ONE.
_QUARTER = (0, 265, 512, 724, 887, 989, 1024)
NUM_ANGLES = 24
MAX_ZOOM = 1.75  # larger shapes would not fit into a picture


class ShapeSample(NamedTuple):
    """One drawn picture and its labels."""

    image: np.ndarray  # [H, W, 3] uint8, RGB
    segments: np.ndarray  # [H, W] int32, index into `labels`
    labels: list[int]  # class of every segment, index into CLASSES


def _sine(step: int) -> int:
    """Give the sine of ``step`` times 15 degrees, times ONE."""
    half, rest = divmod(step % NUM_ANGLES, NUM_ANGLES // 2)
    value = _QUARTER[min(rest, NUM_ANGLES // 2 - rest)]
    return -value if half else value


# Shapes: which points of an upright frame, v downwards, belong to one of radius r. All
# have about the same size; none reaches further than 5/4 of the radius.
def _circle(v: np.ndarray, u: np.ndarray, r: int) -> np.ndarray:
    return v * v + u * u <= r * r


def _square(v: np.ndarray, u: np.ndarray, r: int) -> np.ndarray:
    return np.maximum(np.abs(v), np.abs(u)) * 20 <= r * 17


def _triangle(v: np.ndarray, u: np.ndarray, r: int) -> np.ndarray:
    return (v * 5 <= r * 3) & (np.abs(u) * 173 <= v * 100 + r * 120)


def _cross(v: np.ndarray, u: np.ndarray, r: int) -> np.ndarray:
    far, near = np.maximum(np.abs(v), np.abs(u)), np.minimum(np.abs(v), np.abs(u))
    return (far <= r) & (near * 10 <= r * 3)


def _star(v: np.ndarray, u: np.ndarray, r: int) -> np.ndarray:
    u = np.abs(u)
    # Five lines through the edges: the star is where at most one is crossed. (Sines
    # and cosines of 72 and 36 degrees in thousandths; the tips are at 5/4 r.)
    limit = r * 386
    lines = (-1000 * v, 951 * u - 309 * v, 588 * u + 809 * v)
    left = (-951 * u - 309 * v, -588 * u + 809 * v)
    return np.sum([line > limit for line in (*lines, *left)], 0) <= 1


def _heart(v: np.ndarray, u: np.ndarray, r: int) -> np.ndarray:
    u, v, h = np.abs(u), v - r // 10, r * 19 // 20
    lobes = (2 * u - h) ** 2 + (2 * v + h) ** 2 <= 2 * h * h
    return lobes | (u + np.abs(v) <= h)


SHAPES: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    'circle': _circle,
    'square': _square,
    'triangle': _triangle,
    'cross': _cross,
    'star': _star,
    'heart': _heart,
}

# The classes of the dataset, in label order. Stuff comes first on purpose: code
# that takes thing classes for the first k labels, or class 0 for void, fails here.
STUFF = tuple(TEXTURES)
SOLID = tuple(f'{color} {shape}' for color in COLORS for shape in SHAPES)
PATTERNED = tuple(f'{pattern} {shape}' for pattern in PATTERNS for shape in SHAPES)
THINGS = SOLID + PATTERNED
CLASSES = STUFF + THINGS
# No training picture shows these, nor may segmentation learn their names. Every
# color, shape and pattern is also in a seen class.
UNSEEN = (
    *('wood', 'snow'),
    *('red star', 'orange square', 'yellow circle', 'green heart', 'green circle'),
    *('blue triangle', 'purple cross'),
    *('striped triangle', 'dotted square'),
)
SEEN = tuple(name for name in CLASSES if name not in UNSEEN)
# The second number of a picture's seed, and the classes that may be in it. CLIP,
# which knows the names of the whole world, learns from pictures of its own.
SPLITS = {
    'train': (0, SEEN),
    'val': (1, CLASSES),
    'clip': (2, CLASSES),
    'clip_val': (3, CLASSES),
}


def _make_palette() -> tuple[tuple[int, int, int], ...]:
    shades = (100, 86, 72, 60, 48, 38)
    paints = [*COLORS.values(), (240, 120, 180), (40, 200, 200)]
    return (
        *TONES.values(),
        *(
            (red * shade // 100, green * shade // 100, blue * shade // 100)
            for (red, green, blue), shade in itertools.product(paints, shades)
        ),
    )


PALETTE = _make_palette()  # to draw labels with


def _draw_ground(
    rng: np.random.RandomState, size: int, names: list[str]
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Fill the picture with one to three stuff regions, cut by bent slanted lines."""
    y, x = np.mgrid[:size, :size].astype(np.int64)
    count = min((1, 2, 2, 3)[draw_integers(rng, 0, 3)], len(names))
    chosen = [names[index] for index in rng.permutation(len(names))[:count]]
    segments = np.zeros((size, size), np.int32)
    # Parallel cuts keep every region wide enough.
    slope_y, slope_x = draw_integers(rng, 4, 8), draw_integers(rng, -5, 5)
    bend = smooth_noise(rng, size, size // 4, size // 10)
    height = (slope_y * (2 * (y + bend) - size) + slope_x * (2 * x - size)) * count
    for index in range(1, count):
        cut = size * slope_y * (2 * index - count)
        jitter = draw_integers(rng, -size, size) * slope_y // 4
        segments[height > cut + jitter] = index
    image: np.ndarray = np.zeros((size, size, 3), np.int64)
    for index, name in enumerate(chosen):
        texture = draw_texture(rng, name, size)
        image = np.where((segments == index)[..., None], texture, image)
    return image, segments, [CLASSES.index(name) for name in chosen]


def _paint(
    rng: np.random.RandomState, kind: str, v: np.ndarray, u: np.ndarray, radius: int
) -> np.ndarray:
    """Color the points of a shape, ``[h, w, 3]``; ``kind``: a color or a pattern."""
    shade = draw_integers(rng, -12, 12, 3)
    if kind in COLORS:
        return np.broadcast_to(np.array(COLORS[kind]) + shade, (*v.shape, 3))
    paints = [*COLORS.values(), WHITE]
    light = [(red * 3 + green * 6 + blue) // 10 for red, green, blue in paints]
    pairs = [
        (a, b)
        for a, b in itertools.permutations(range(len(paints)), 2)
        if abs(light[a] - light[b]) >= 60  # two that are never taken for one
    ]
    ground, mark = pairs[draw_integers(rng, 0, len(pairs) - 1)]
    phase_v, phase_u = draw_integers(rng, 0, radius, 2)
    if kind == 'striped':
        marked = (u + phase_u) * 5 // (radius * 2) % 2 == 0
    else:
        step = radius * 5 // 8
        dv, du = (v + phase_v) % step - step // 2, (u + phase_u) % step - step // 2
        marked = (dv * dv + du * du) * 9 <= step * step
    return np.where(marked[..., None], paints[mark], paints[ground]) + shade


def _erode(mask: np.ndarray, pixels: int) -> np.ndarray:
    for _ in range(pixels):
        padded = np.pad(mask, 1)
        mask = (
            mask & padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:]
        ) & padded[1:-1, :-2]
    return mask


def _draw_shape(
    rng: np.random.RandomState, name: str, size: int, zoom: float = 1.0
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """Draw a shape; return its place, its mask and its pixels there."""
    radius = draw_integers(rng, size * 13 // 128, size * 27 // 128)
    radius = int(radius * zoom)
    reach = radius * 5 // 4 + 1
    top, left = draw_integers(rng, 0, size - 2 * reach - 1, 2)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.int64)
    turn = int(draw_integers(rng, 0, NUM_ANGLES - 1))
    sine, cosine = _sine(turn), _sine(turn + NUM_ANGLES // 4)
    v, u = y * cosine - x * sine, y * sine + x * cosine  # times ONE
    kind, shape = name.split()
    mask = SHAPES[shape](v, u, radius * ONE)
    pixels = _paint(rng, kind, v, u, radius * ONE)
    inside = _erode(mask, max(size // 80, 1))
    # A dark rim parts shapes of one color.
    pixels = np.where(inside[..., None], pixels, pixels // 3)
    place = slice(top, top + 2 * reach + 1), slice(left, left + 2 * reach + 1)
    return place, mask, pixels


def _add_shapes(
    rng: np.random.RandomState,
    image: np.ndarray,
    segments: np.ndarray,
    labels: list[int],
    names: list[list[str]],
    max_things: int,
    zoom: float,
) -> None:
    """Draw one or more shapes on a picture, in place."""
    areas: dict[int, int] = {}  # segment -> pixels of the whole shape
    for _ in range(draw_integers(rng, 1, max_things)):
        # A quarter is patterned, whatever the numbers of classes are.
        group = names[int(draw_integers(rng, 0, 3) == 0 or not names[0])]
        group = group or names[0]
        name = group[draw_integers(rng, 0, len(group) - 1)]
        place, mask, pixels = _draw_shape(rng, name, len(image), zoom)
        below = segments[place]
        if any(
            np.count_nonzero(segments == other) - np.count_nonzero(below[mask] == other)
            < area * 3 // 5
            for other, area in areas.items()
        ):
            continue  # would hide too much of an earlier shape
        areas[len(labels)] = np.count_nonzero(mask)
        below[mask] = len(labels)
        image[place][mask] = pixels[mask]
        labels.append(CLASSES.index(name))


def _light(rng: np.random.RandomState, image: np.ndarray) -> np.ndarray:
    """Light a picture from one side and add noise."""
    size = len(image)
    y, x = np.mgrid[:size, :size].astype(np.int64)
    slope_y, slope_x = draw_integers(rng, -36, 36, 2)
    slope = slope_y * (2 * y - size) + slope_x * (2 * x - size)
    level = draw_integers(rng, 210, 270) + slope // (2 * size)
    amount = int(draw_integers(rng, 2, 10))
    noise = draw_integers(rng, -amount, amount, (size, size, 3))
    return (image * level[..., None]) // 256 + noise


def draw_sample(
    rng: np.random.RandomState,
    size: int = 128,
    classes: Collection[str] = CLASSES,
    max_things: int = 6,
    zoom: float = 1.0,
) -> ShapeSample:
    """Draw one picture: one to three textures, some shapes on them.

    Args:
        rng: Source of every choice.
        size: Height and width in pixels, at least 32 (patterns show from 96 on).
        classes: Names of the classes that may be in the picture, of stuff and things.
        max_things: How many shapes are drawn at most, at least 1.
        zoom: Factor of the shapes' radii, from 1 to ``MAX_ZOOM``.

    Returns:
        The picture. Every segment has at least one pixel, every shape keeps at
        least three fifths of its pixels visible, and at least one shape is there.

    Raises:
        ValueError: If ``size`` is too small to tell shapes apart, ``max_things`` or
            ``zoom`` is out of range, or ``classes`` has an unknown name, no stuff or
            no thing.
    """
    if size < 32:
        raise ValueError(f'size must be at least 32, got {size}.')
    if max_things < 1 or not 1 <= zoom <= MAX_ZOOM:
        raise ValueError(
            f'max_things must be at least 1 and zoom from 1 to {MAX_ZOOM}, '
            f'got {max_things} and {zoom}.'
        )
    unknown = set(classes) - set(CLASSES)
    # In label order, whatever kind of collection it is.
    stuff, *things = (
        [name for name in group if name in classes]
        for group in (STUFF, SOLID, PATTERNED)
    )
    if unknown or not stuff or not any(things):
        raise ValueError(
            f'classes must have stuff and things of {CLASSES}, got {tuple(classes)}.'
        )
    image, segments, labels = _draw_ground(rng, size, stuff)
    _add_shapes(rng, image, segments, labels, things, max_things, zoom)
    image = _light(rng, image)
    # A stuff region can vanish below the shapes: renumber what is left.
    used, flat = np.unique(segments, return_inverse=True)
    return ShapeSample(
        image=image.clip(0, 255).astype(np.uint8),
        segments=flat.reshape(size, size).astype(np.int32),
        labels=[labels[index] for index in used],
    )


def draw_numbered(
    seed: int,
    split: str,
    number: int,
    size: int = 128,
    max_things: int = 6,
    zoom: float = 1.0,
    classes: Collection[str] | None = None,
) -> ShapeSample:
    """Draw a picture of a split; it depends on these arguments alone.

    Args:
        seed: Of the dataset.
        split: One of ``SPLITS``, which says what may be in the picture.
        number: Of the picture.
        size: Height and width in pixels.
        max_things: See :func:`draw_sample`.
        zoom: See :func:`draw_sample`.
        classes: Of the split, those that may be in the picture, by default all.

    Returns:
        See :func:`draw_sample`.

    Raises:
        KeyError: If there is no such split.
        ValueError: If ``classes`` has one that the split does not show, and as
            :func:`draw_sample`.
    """
    stream, shown = SPLITS[split]
    if classes is None:
        classes = shown
    elif others := set(classes) - set(shown):
        raise ValueError(f'The split {split!r} does not show {sorted(others)}.')
    rng = np.random.RandomState([seed, stream, number])
    return draw_sample(rng, size, classes, max_things, zoom)
