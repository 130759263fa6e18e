import cv2
import numpy as np
import pytest

from mmovseg.shapeworld.drawing import CLASSES, SOLID, STUFF, ShapeSample
from projects.shapeworld.crops import (
    CropSource,
    Region,
    crop_stuff,
    crop_thing,
    draw_pictures,
    find_regions,
)


@pytest.fixture(scope='module')
def pictures():
    return draw_pictures('clip', 150, sizes=(64, 96))


def test_pictures_take_sizes_in_turns_and_repeat(pictures):
    assert [len(sample.image) for sample in pictures[:3]] == [64, 96, 64]
    again = draw_pictures('clip', 3, sizes=(64, 96), num_workers=2)
    for one, other in zip(again, pictures[:3], strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert one.segments.dtype == np.uint8


def test_regions_are_the_boxes_of_all_segments(pictures):
    regions = find_regions(pictures)
    assert sum(map(len, regions.values())) == sum(len(s.labels) for s in pictures)
    for name, found in regions.items():
        for region in found[:2]:
            sample = pictures[region.picture]
            assert CLASSES[sample.labels[region.segment]] == name
            ys, xs = np.nonzero(sample.segments == region.segment)
            y, x, height, width = region.box
            assert (y, x) == (ys.min(), xs.min())
            assert (y + height, x + width) == (ys.max() + 1, xs.max() + 1)


def make_sample(size=60):
    """A white square of 20 pixels, its corner at (10, 30), on black."""
    segments = np.zeros((size, size), np.uint8)
    segments[10:30, 30:50] = 1
    image = np.repeat(segments[..., None] * 255, 3, 2)
    return ShapeSample(image, segments, [0, len(STUFF)])


def test_the_share_of_a_thing_is_that_of_its_box():
    region = Region(0, 1, (10, 30, 20, 20))
    crop = crop_thing(make_sample(), region, 40, share=0.5)
    expected = np.zeros((40, 40))
    expected[10:30, 10:30] = 255
    np.testing.assert_array_equal(crop[..., 0], expected)
    whole = crop_thing(make_sample(), region, 80, share=1.0)
    assert whole.min() == 255
    down = crop_thing(make_sample(), region, 40, share=0.5, shift=(-0.25, 0.25))
    np.testing.assert_array_equal(down[..., 0], np.roll(expected, (-10, 10), (0, 1)))


def test_crops_stay_within_the_picture():
    region = Region(0, 1, (10, 30, 20, 20))
    crop = crop_thing(make_sample(), region, 60, share=0.1, shift=(0.5, 0.5))
    np.testing.assert_array_equal(crop, make_sample().image)


def test_crops_of_textures_show_nothing_else():
    rng = np.random.RandomState(0)
    region = Region(0, 0, (0, 0, 60, 60))
    crops = [crop_stuff(rng, make_sample(), region, 32) for _ in range(20)]
    shown = [crop for crop in crops if crop is not None]
    assert len(shown) > 5
    assert all((crop == 0).mean() > 0.95 for crop in shown)
    assert crop_stuff(rng, make_sample(), Region(0, 1, (10, 30, 8, 8)), 32) is None


def test_a_source_repeats_and_keeps_its_shares(pictures):
    source = CropSource(pictures * 3)
    images, labels = source.draw(np.random.RandomState(1), 200, 32)
    assert images.shape == (200, 32, 32, 3) and images.dtype == np.uint8
    again = source.draw(np.random.RandomState(1), 200, 32)
    np.testing.assert_array_equal(again[0], images)
    np.testing.assert_array_equal(again[1], labels)
    solid = np.isin(labels, [CLASSES.index(name) for name in SOLID]).mean()
    assert 0.46 < solid < 0.66
    assert 0.14 < (labels < len(STUFF)).mean() < 0.34


def test_too_few_pictures_are_refused(pictures):
    with pytest.raises(ValueError, match='draw more'):
        CropSource(pictures[:3])


def test_whole_pictures_come_with_boxes_of_what_is_in_them(pictures):
    source = CropSource(pictures)
    images, boxes, labels = source.draw_whole(np.random.RandomState(2), 40, 96)
    assert images.shape == (40, 96, 96, 3) and boxes.shape == (*labels.shape, 4)
    again = source.draw_whole(np.random.RandomState(2), 40, 96)
    np.testing.assert_array_equal(again[1], boxes)
    flipped = 0
    for image, places, names in zip(images, boxes, labels, strict=True):
        (found, flip) = next(
            (sample, flip)
            for sample in pictures
            for flip in (False, True)
            if np.array_equal(resized(sample, flip), image)
        )
        flipped += flip
        size = len(found.image)
        segments = found.segments[:, ::-1] if flip else found.segments
        things = {label for label in found.labels if label >= len(STUFF)}
        assert things <= set(names[names >= 0].tolist()) <= set(found.labels)
        for box, label in zip(places, names, strict=True):
            if label == -100:
                continue
            top, left, bottom, right = (box * size).round().astype(int)
            inside = segments[top:bottom, left:right]
            at = [i for i, other in enumerate(found.labels) if other == label]
            if label < len(STUFF):
                assert (inside == at[0]).mean() > 0.97
            else:  # the whole thing, one of those of its class
                whole = [(inside == i).sum() == (segments == i).sum() for i in at]
                assert any(whole)
    assert 5 < flipped < 35


def resized(sample, flip):
    image = cv2.resize(sample.image, (96, 96), interpolation=cv2.INTER_LINEAR)
    return image[:, ::-1] if flip else image
