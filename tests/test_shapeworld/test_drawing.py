import zlib

import numpy as np
import pytest

from mmovseg.shapeworld import drawing as shapeworld
from mmovseg.shapeworld.drawing import (
    CLASSES,
    COLORS,
    PALETTE,
    PATTERNS,
    SEEN,
    SHAPES,
    SOLID,
    SPLITS,
    STUFF,
    THINGS,
    UNSEEN,
    draw_numbered,
    draw_sample,
)
from mmovseg.shapeworld.textures import TEXTURES, draw_texture
from mmovseg.vocabulary import Vocabulary


def draw(number, size=128, split='val'):
    return draw_numbered(0, split, number, size)


def names_of(sample):
    return [CLASSES[label] for label in sample.labels]


def test_a_seed_gives_the_same_picture_on_every_machine():
    """Numbers change only when the drawing does: raise shapeworld_files.VERSION."""
    sample = draw(6)
    assert sample.image.shape == (128, 128, 3)
    things = ['purple heart', 'dotted star', 'dotted cross', 'purple star']
    assert names_of(sample) == ['sky', 'tiles', 'snow', *things]
    assert zlib.crc32(sample.image.tobytes()) == 3621919138
    assert zlib.crc32(sample.segments.tobytes()) == 3883819212
    everything = b''.join(
        draw_texture(np.random.RandomState(0), name, 48).tobytes() for name in TEXTURES
    )
    assert zlib.crc32(everything) == 633403252


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
        assert 1 <= len(things) <= 6
        assert min(things) > 20
        stuff = [label for label in sample.labels if label < len(STUFF)]
        assert len(stuff) == len(set(stuff)) <= 3


def paints(pixels):
    """The paint nearest to every pixel, brightness left out."""
    table = np.array([*COLORS.values(), shapeworld.WHITE], float)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    bright = pixels[pixels.max(1) > 110].astype(float)
    bright /= np.linalg.norm(bright, axis=1, keepdims=True)
    return np.bincount((bright @ unit.T).argmax(1), minlength=len(table))


def test_solid_shapes_have_their_color_and_patterned_ones_two():
    """So a solid shape is never taken for a patterned one, nor the other way round."""
    solid, patterned = 0, 0
    for number in range(40):
        sample = draw(number)
        for index, name in enumerate(names_of(sample)):
            kind = name.split()[0]
            counts = paints(sample.image[sample.segments == index])
            share = counts / max(counts.sum(), 1)
            if name in SOLID:
                solid += 1
                assert share[list(COLORS).index(kind)] > 0.99, (number, name)
            elif kind in PATTERNS:
                patterned += 1
                assert share.max() < 0.8, (number, name)
    assert solid > 60 and patterned > 5


def test_shapes_have_the_area_of_their_formula():
    """In units of the radius squared, as far as pixels can tell."""
    v, u = np.mgrid[-140:141, -140:141].astype(np.int64)
    areas = {name: shape(v, u, 100).sum() / 1e4 for name, shape in SHAPES.items()}
    assert areas == pytest.approx(
        {
            'circle': np.pi,
            'square': 1.7**2,
            'triangle': 3**1.5 / 4 * 1.2**2,
            'cross': 0.6 * 2 * 2 - 0.36,
            'star': 1.12257 * 1.25**2,
            'heart': (1 + np.pi / 4) * 2 * 0.95**2,
        },
        rel=0.03,
    )


def test_shapes_are_turned_and_come_in_all_sizes():
    sines = [shapeworld._sine(step) for step in range(-3, 30)]
    expected = [1024 * np.sin(step * np.pi / 12) for step in range(-3, 30)]
    np.testing.assert_allclose(sines, expected, atol=0.5)
    circles, squares = [], []
    for number in range(60):
        sample = draw(number, split='clip')
        # The one drawn last is whole.
        mask = sample.segments == len(sample.labels) - 1
        ys, xs = np.nonzero(mask)
        box = np.ptp(ys) + 1, np.ptp(xs) + 1
        if names_of(sample)[-1].endswith('circle'):
            circles.append(box[0])
            assert abs(box[0] - box[1]) <= 1
        elif names_of(sample)[-1].endswith('square'):
            squares.append(mask.sum() / box[0] / box[1])
    assert min(circles) < 32 and max(circles) > 44
    assert min(squares) < 0.6 and max(squares) > 0.9  # on a corner, and upright


def test_pictures_can_show_one_thing_and_show_it_near():
    plain = [shapeworld.draw_numbered(0, 'clip', i, 64, 1) for i in range(30)]
    near = [shapeworld.draw_numbered(0, 'clip', i, 64, 1, 1.75) for i in range(30)]
    for sample in plain + near:
        assert sum(label >= len(STUFF) for label in sample.labels) == 1
    areas = [
        np.mean([(x.segments == len(x.labels) - 1).sum() for x in samples])
        for samples in (plain, near)
    ]
    assert areas[1] / areas[0] == pytest.approx(1.75**2, rel=0.1)
    for wrong in (dict(max_things=0), dict(zoom=0.9), dict(zoom=1.8)):
        with pytest.raises(ValueError, match='max_things must be at least 1 and zoom'):
            shapeworld.draw_sample(np.random.RandomState(0), 64, **wrong)


def test_all_classes_occur():
    found = {label for number in range(220) for label in draw(number, 64).labels}
    assert found == set(range(len(CLASSES)))


def test_the_world_is_as_large_as_it_says():
    assert len(STUFF) >= 8 and len(COLORS) >= 6 and len(SHAPES) >= 6
    assert len(PATTERNS) >= 2
    assert len(CLASSES) == len(set(CLASSES)) == len(STUFF) + len(THINGS) == 58
    assert len(PALETTE) == len(set(PALETTE)) == len(CLASSES)


def test_every_word_of_an_unseen_thing_is_in_a_seen_one():
    assert set(SEEN) | set(UNSEEN) == set(CLASSES) and not set(SEEN) & set(UNSEEN)
    assert 0.15 < len(set(UNSEEN) & set(SOLID)) / len(SOLID) < 0.25
    assert len(set(UNSEEN) & set(STUFF)) == 2
    seen = {word for name in SEEN if name in THINGS for word in name.split()}
    assert seen == {*COLORS, *SHAPES, *PATTERNS}


def test_training_pictures_show_seen_classes_only():
    for number in range(60):
        assert set(names_of(draw(number, 64, 'train'))) <= set(SEEN)
    streams = [stream for stream, _ in SPLITS.values()]
    assert len(set(streams)) == len(streams)  # no two splits share a picture
    assert SPLITS['train'][1] == SEEN


def test_classes_can_be_chosen():
    rng = np.random.RandomState(0)
    chosen = ['sand', 'dotted heart']
    for _ in range(5):
        assert set(names_of(draw_sample(rng, 64, chosen))) <= set(chosen)


def test_vocabularies_have_the_classes_in_order():
    vocabulary = Vocabulary.load('shapeworld')
    assert vocabulary.names == CLASSES
    assert vocabulary.is_thing == tuple(name in THINGS for name in CLASSES)
    assert Vocabulary.load('shapeworld_seen').names == SEEN


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(size=16), 'at least 32, got 16'),
        (dict(classes=['grass']), 'stuff and things'),
        (dict(classes=['red star']), 'stuff and things'),
        (dict(classes=['grass', 'pink star', 'red star']), 'pink star'),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_sample(np.random.RandomState(0), **arguments)
