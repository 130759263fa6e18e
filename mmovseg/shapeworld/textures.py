"""The grounds of ShapeWorld: textures, computed with integers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# Muted, so that no ground has the color of a shape.
TONES = {
    'grass': (70, 112, 52),
    'water': (52, 104, 126),
    'sand': (196, 176, 136),
    'brick': (136, 80, 66),
    'wood': (122, 88, 58),
    'gravel': (128, 126, 122),
    'tiles': (186, 190, 186),
    'snow': (228, 234, 240),
    'carpet': (112, 66, 82),
    'sky': (142, 176, 208),
}


def draw_integers(
    rng: np.random.RandomState, low: int, high: int, shape: int | tuple = ()
) -> Any:
    """Draw int64 numbers in [low, high], the same ones on every machine.

    ``RandomState.randint`` takes a C long by default, which Windows has with 32 bits.
    """
    return rng.randint(low, high + 1, shape or None, dtype=np.int64)


def triangle_wave(x: np.ndarray, period: int) -> np.ndarray:
    """Rise and fall between 0 and period // 2; integer, unlike sin, is exact."""
    return np.abs(x % period - period // 2)


def smooth_noise(
    rng: np.random.RandomState, size: int, cell: int, amount: int
) -> np.ndarray:
    """Draw noise in [-amount, amount] that changes over ``cell`` pixels; [H, W]."""
    coarse = draw_integers(rng, -amount, amount, (size // cell + 2,) * 2)
    at, rest = np.divmod(np.arange(size, dtype=np.int64), cell)
    rows = coarse[at] * (cell - rest)[:, None] + coarse[at + 1] * rest[:, None]
    return (rows[:, at] * (cell - rest) + rows[:, at + 1] * rest) // (cell * cell)


def _grain(rng: np.random.RandomState, size: int, amount: int) -> np.ndarray:
    return draw_integers(rng, -amount, amount, (size, size))


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:size, :size].astype(np.int64)
    return y, x


def _grass(rng: np.random.RandomState, size: int) -> np.ndarray:
    blades = draw_integers(rng, -30, 30, (size // 5 + 1, size)).repeat(5, axis=0)
    return blades[:size] + smooth_noise(rng, size, 24, 12)


def _water(rng: np.random.RandomState, size: int) -> np.ndarray:
    y, x = _grid(size)
    bend = triangle_wave(x + smooth_noise(rng, size, 32, 24), 32) // 3
    return triangle_wave(y + bend, 10) * 8 - 20


def _sand(rng: np.random.RandomState, size: int) -> np.ndarray:
    return _grain(rng, size, 20) + smooth_noise(rng, size, 32, 14)


def _brick(rng: np.random.RandomState, size: int) -> np.ndarray:
    y, x = _grid(size)
    row = y // 10
    x = x + row % 2 * 10 + draw_integers(rng, 0, 19)
    tones = draw_integers(rng, -16, 16, (size // 10 + 1, size // 20 + 3))
    return np.where((y % 10 < 2) | (x % 20 < 2), 70, tones[row, x // 20])


def _wood(rng: np.random.RandomState, size: int) -> np.ndarray:
    y, x = _grid(size)
    plank = x // 18
    tones = draw_integers(rng, -14, 14, size // 18 + 1)[plank]
    shifts = draw_integers(rng, 0, 60, size // 18 + 1)[plank]
    fibers = triangle_wave(x * 3 + y // 4 + smooth_noise(rng, size, 16, 8), 12) * 4
    seam = (x % 18 == 0) | ((y + shifts) % 60 == 0)
    return np.where(seam, -60, tones + fibers - 12)


def _gravel(rng: np.random.RandomState, size: int) -> np.ndarray:
    cell = 10
    y, x = _grid(size)
    count = size // cell + 3
    seeds = draw_integers(rng, 0, cell - 1, (2, count, count))
    tones = draw_integers(rng, -36, 36, (count, count))
    # Of the nine stones around a pixel: the nearest two, and the tone of the nearest.
    first = np.full((size, size), 1 << 20)
    second, tone = first.copy(), np.zeros_like(first)
    for j in range(3):
        for i in range(3):
            at = y // cell + j, x // cell + i
            dy = seeds[0][at] + (at[0] - 1) * cell - y
            dx = seeds[1][at] + (at[1] - 1) * cell - x
            distance = dy * dy + dx * dx
            tone = np.where(distance < first, tones[at], tone)
            second = np.minimum(second, np.maximum(first, distance))
            first = np.minimum(first, distance)
    return np.where(second - first < 14, -70, tone)


def _tiles(rng: np.random.RandomState, size: int) -> np.ndarray:
    y, x = _grid(size)
    y, x = y + draw_integers(rng, 0, 21), x + draw_integers(rng, 0, 21)
    grout = (y % 22 < 2) | (x % 22 < 2)
    return np.where(grout, -80, (y // 22 + x // 22) % 2 * -34)


def _snow(rng: np.random.RandomState, size: int) -> np.ndarray:
    return smooth_noise(rng, size, 20, 22) + _grain(rng, size, 5)


def _carpet(rng: np.random.RandomState, size: int) -> np.ndarray:
    y, x = _grid(size)
    thread = np.where((y // 4 + x // 4) % 2 == 0, y % 4, x % 4)
    return np.abs(2 * thread - 3) * -12 + 16 + _grain(rng, size, 8)


def _sky(rng: np.random.RandomState, size: int) -> np.ndarray:
    clouds = smooth_noise(rng, size, 40, 90) + smooth_noise(rng, size, 16, 30)
    return clouds.clip(0, 60)


TEXTURES: dict[str, Callable[[np.random.RandomState, int], np.ndarray]] = {
    'grass': _grass,
    'water': _water,
    'sand': _sand,
    'brick': _brick,
    'wood': _wood,
    'gravel': _gravel,
    'tiles': _tiles,
    'snow': _snow,
    'carpet': _carpet,
    'sky': _sky,
}


def draw_texture(rng: np.random.RandomState, name: str, size: int) -> np.ndarray:
    """Draw a ground.

    Args:
        rng: Source of every choice.
        name: One of ``TEXTURES``.
        size: Height and width in pixels.

    Returns:
        RGB, ``[size, size, 3]`` int64, not clipped.
    """
    tone = np.array(TONES[name], np.int64) + draw_integers(rng, -8, 8)
    return TEXTURES[name](rng, size)[..., None] + tone
