"""Letters that the usual font lacks."""

import warnings

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mmovseg.apis import fonts
from mmovseg.apis.visualization import draw_semantic


@pytest.fixture
def installed(monkeypatch):
    """Take DejaVu Sans Mono for the usual font, and offer others."""
    folder = fonts.Path(fonts._default_font()).parent
    usual = str(folder / 'DejaVuSansMono.ttf')
    offered = [str(folder / x) for x in ('none.ttf', 'cmr10.ttf', 'DejaVuSans.ttf')]
    monkeypatch.setattr(fonts, '_default_font', lambda: usual)
    monkeypatch.setattr(fonts, '_installed_fonts', lambda: tuple(offered))
    fonts._find_font.cache_clear()
    yield offered
    fonts._find_font.cache_clear()


def find_lacking(usual, other):
    """Return a letter that one font lacks and the other has."""
    letters = frozenset(map(chr, range(0x2C00, 0x2E00)))
    lacks = fonts._missing(usual, letters) - fonts._missing(other, letters)
    return min(lacks)


def test_a_font_with_all_letters_is_found(installed):
    letter = find_lacking(fonts._default_font(), installed[-1])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        font = fonts.load_font(20, f'dog {letter}')
        assert font.path == installed[-1] and font.size == 20
        assert fonts.load_font(20, 'dog').path == fonts._default_font()


def test_letters_that_no_font_has_are_told(installed):
    with pytest.warns(UserWarning, match=r"the letters '\\ue0ff' of a class name"):
        fonts.load_font(20, 'dog \ue0ff')
    image = np.zeros((400, 400, 3), np.uint8)
    with pytest.warns(UserWarning, match='No installed font'):
        draw_semantic(image, np.zeros((400, 400), int), ['\u1f9b\ud7a3'])


def test_the_letter_is_drawn_and_not_a_box(installed):
    letter = find_lacking(fonts._default_font(), installed[-1])

    def draw(font, text):
        image = Image.new('L', (40, 40))
        ImageDraw.Draw(image).text((5, 5), text, 255, font)
        return np.asarray(image)

    usual = fonts.load_font(24)
    box, found = draw(usual, '\ue0ff'), fonts.load_font(24, letter)
    assert (draw(usual, letter) == box).all()
    assert (draw(found, letter) != box).any() and draw(found, letter).any()
