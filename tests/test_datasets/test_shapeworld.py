import zlib

import numpy as np
import pytest

from mmovseg.datasets.shapeworld import CLASSES, PALETTE, STUFF, THINGS, draw_sample
from mmovseg.vocabulary import Vocabulary


def draw(number, size=128):
    return draw_sample(np.random.RandomState([0, number]), size)


def test_a_seed_gives_the_same_picture_on_every_machine():
    """The numbers change only when the drawing does: raise VERSION in the tool then."""
    sample = draw(3)
    assert sample.image.shape == (128, 128, 3)
    assert zlib.crc32(sample.image.tobytes()) == 2986592641
    assert zlib.crc32(sample.segments.tobytes()) == 2776553385
    assert [CLASSES[label] for label in sample.labels] == [
        'grass',
        'water',
        'sand',
        'yellow circle',
        'yellow triangle',
        'yellow square',
    ]


def test_every_pixel_belongs_to_a_segment_with_a_class():
    for number in range(40):
        sample = draw(number, 64)
        areas = np.bincount(sample.segments.ravel())
        assert len(areas) == len(sample.labels)
        assert areas.min() > 0
        things = [
            area
            for area, label in zip(areas, sample.labels, strict=True)
            if label >= len(STUFF)
        ]
        assert 1 <= len(things) <= 5
        assert min(things) > 30
        stuff = [label for label in sample.labels if label < len(STUFF)]
        assert len(stuff) == len(set(stuff)) <= 3


def test_shapes_show_their_colour():
    for number in range(20):
        sample = draw(number)
        for index, label in enumerate(sample.labels):
            name = CLASSES[label]
            if name not in THINGS:
                continue
            red, green, blue = np.median(sample.image[sample.segments == index], axis=0)
            expected = {
                'red': red > 150 > green,
                'yellow': red > 150 and green > 150 > blue,
                'blue': blue > 150 > red,
            }
            assert expected[name.split()[0]]


def test_all_classes_occur_and_shapes_hide_each_other():
    seen = {label for number in range(60) for label in draw(number).labels}
    assert seen == set(range(len(CLASSES)))


def test_vocabulary_has_the_classes_in_order():
    vocabulary = Vocabulary.load('shapeworld')
    assert vocabulary.names == CLASSES
    assert vocabulary.is_thing == tuple(name in THINGS for name in CLASSES)
    assert len(set(PALETTE)) == len(CLASSES)


def test_too_small_a_picture_is_refused():
    with pytest.raises(ValueError, match='at least 32, got 16'):
        draw(0, 16)
