"""Fonts that have the letters of a text."""

from __future__ import annotations

import unicodedata
import warnings
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont


def load_font(size: int, text: str = '') -> ImageFont.FreeTypeFont:
    """Return a font for a text.

    That is matplotlib's DejaVu Sans, which has more letters than Pillow's own font.
    Where it lacks a letter of the text, an installed font that has all of them takes
    its place.

    Args:
        size: In pixels.
        text: What is to be drawn.

    Warns:
        UserWarning: If no installed font has all letters. Those that are missing look
            like empty boxes then.
    """
    return _load(_find_font(frozenset(text)), size)


@lru_cache(maxsize=64)
def _load(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


@lru_cache(maxsize=4096)
def _find_font(letters: frozenset[str]) -> str:
    """Return the first font that has all letters, else the one that has most."""
    # Controls, joiners and blanks are not drawn.
    letters = frozenset(
        x for x in letters if unicodedata.category(x) not in ('Cc', 'Cf', 'Zs')
    )
    best, missing = _default_font(), _missing(_default_font(), letters)
    if not missing:
        return best
    for path in _installed_fonts():
        lacks = _missing(path, letters)
        if len(lacks) < len(missing):
            best, missing = path, lacks
        if not missing:
            return best
    shown = ''.join(sorted(missing)[:20])
    warnings.warn(
        f'No installed font has the letters {shown!r} of a class name, so the drawing '
        'shows boxes in their place. Install one that has them, such as Noto Sans.',
        stacklevel=2,
    )
    return best


def _default_font() -> str:
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / 'DejaVuSans.ttf')


@lru_cache(maxsize=1)
def _installed_fonts() -> tuple[str, ...]:
    from matplotlib import font_manager

    return tuple(sorted({x.fname for x in font_manager.fontManager.ttflist}))


def _missing(path: str, letters: frozenset[str]) -> frozenset[str]:
    """Return the letters that a font lacks: all if it cannot be scaled or read."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return letters
    # The last resort of macOS has a box for every letter.
    if not font.scalable or 'LastResort' in path:
        return letters
    return frozenset(x for x in letters if not font.get_char_index(ord(x)))
