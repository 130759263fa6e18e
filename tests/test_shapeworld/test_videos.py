"""Drawn videos: tracks that are known, and the same on every machine."""

import numpy as np
import pytest

from mmovseg.shapeworld.drawing import CLASSES, STUFF
from mmovseg.shapeworld.videos import draw_video


def test_a_frame_depends_on_its_arguments_alone():
    short = list(draw_video(0, 2, num_frames=3, size=64))
    long = list(draw_video(0, 2, num_frames=9, size=64))
    for a, b in zip(short, long, strict=False):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.tracks, b.tracks) and a.labels == b.labels
    other = next(draw_video(1, 2, num_frames=1, size=64))
    assert not np.array_equal(other.image, short[0].image)


def test_things_move_as_a_whole_and_stuff_stays():
    frames = list(draw_video(0, 0, num_frames=40, size=96))
    labels = frames[0].labels
    things = [i for i, x in enumerate(labels) if CLASSES[x] not in STUFF]
    top = things[-1]  # nothing hides it
    sizes = [np.count_nonzero(x.tracks == top) for x in frames]
    assert min(sizes) == max(sizes) > 0
    centers = np.array([np.argwhere(x.tracks == top).mean(0) for x in frames])
    steps = np.abs(np.diff(centers, axis=0))
    assert 0 < steps.max() <= 96 / 32 + 1
    # Where no thing has been, the ground is the same, light and noise too.
    moved = np.any([np.isin(x.tracks, things) for x in frames], 0)
    for frame in frames[1:]:
        assert np.array_equal(frame.image[~moved], frames[0].image[~moved])
        assert np.array_equal(frame.tracks[~moved], frames[0].tracks[~moved])


def test_some_videos_show_two_things_of_a_class():
    labels = [next(draw_video(0, i, num_frames=1, size=32)).labels for i in range(12)]
    twins = [len(set(x)) < len(x) for x in labels]
    assert any(twins) and not all(twins)


def test_classes_are_those_asked_for():
    names = ['sky', 'red star', 'striped circle']
    for number in range(5):
        frame = next(draw_video(0, number, num_frames=1, size=48, classes=names))
        assert {CLASSES[x] for x in frame.labels} <= set(names)
    for wrong in (dict(size=16), dict(classes=['sky']), dict(classes=['red star'])):
        with pytest.raises(ValueError, match='at least 32, stuff and solid'):
            next(draw_video(0, 0, **wrong))
