"""Ids that stay with a thing: by place, by looks, after it was hidden."""

import numpy as np
import pytest

from mmovseg.apis.results import Result, Segment, find_boxes
from mmovseg.apis.tracker import Tracker

NAMES = ('cat', 'cup', 'floor', 'wall')
IS_THING = (True, True, False, False)
SIDE = 40


def make(*things, stuff=(), score=0.5):
    """Draw squares of 8 x 8 as (label, y, x) on stuff; return result and their ids."""
    label_map = np.zeros((SIDE, SIDE), np.int32)
    kinds = {}
    for number, label in enumerate(stuff, 1):
        label_map[:, (number - 1) * SIDE // len(stuff) :] = number
        kinds[number] = label
    for number, (label, y, x) in enumerate(things, len(stuff) + 1):
        label_map[y : y + 8, x : x + 8] = number
        kinds[number] = label
    boxes = find_boxes(label_map)
    segments = [
        Segment(
            i,
            label,
            NAMES[label],
            IS_THING[label],
            score,
            int((label_map == i).sum()),
            b,
        )
        for i, label in kinds.items()
        if (b := boxes.get(i)) is not None
    ]
    return Result('panoptic', label_map, segments, NAMES, IS_THING)


def ids(result):
    return [segment.id for segment in result.segments]


def look(*values):
    rows = np.asarray(values, np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def test_ids_stay_whatever_the_order_of_segments():
    tracker = Tracker()
    assert ids(tracker.update(make((0, 2, 2), (1, 20, 20)))) == [1, 2]
    result = tracker.update(make((1, 21, 20), (0, 2, 4)))
    assert ids(result) == [2, 1]
    assert result.label_map[25, 24] == 2 and result.label_map[5, 8] == 1
    assert [x.name for x in result.segments] == ['cup', 'cat']
    assert set(np.unique(result.label_map)) == {0, 1, 2}


def test_stuff_is_one_track_per_class_for_ever():
    tracker = Tracker(memory=1)
    first = ids(tracker.update(make((0, 2, 2), stuff=(2, 3))))
    assert first == [1 + x for x in (1, 2, 0)]
    for _ in range(3):
        tracker.update(make())
    assert ids(tracker.update(make(stuff=(3, 2)))) == [first[1], first[0]]


def test_things_of_one_class_that_pass_each_other_keep_their_ids():
    tracker = Tracker()
    for step in range(16):  # in lanes that overlap by three quarters
        result = tracker.update(make((0, 10, 2 * step), (0, 12, 30 - 2 * step)))
        if len(result.segments) == 2:
            assert ids(result) == [1, 2], step


def test_a_thing_that_was_hidden_is_known_by_its_looks():
    def run(with_looks, gap):
        tracker = Tracker(memory=5)
        tracker.update(make((0, 10, 2)), look([1, 0]) if with_looks else None)
        for _ in range(gap):
            tracker.update(make())
        here = make((0, 10, 16), (0, 28, 28))
        looks = look([0.95, 0.1], [-1, 0.3]) if with_looks else None
        return ids(tracker.update(here, looks))

    assert run(True, 2) == [1, 2]
    assert run(False, 2) == [2, 3]
    assert run(True, 5) == [2, 3]  # forgotten


def test_looks_decide_where_places_do_not():
    tracker = Tracker()
    tracker.update(make((0, 10, 10), (0, 10, 18)), look([1, 0], [0, 1]))
    # Both jump by half of their size; the left one lies between both tracks.
    result = tracker.update(make((0, 10, 14), (0, 10, 22)), look([0, 1], [1, 0]))
    assert ids(result) == [2, 1]
    plain = Tracker()
    plain.update(make((0, 10, 10), (0, 10, 18)))
    assert ids(plain.update(make((0, 10, 14), (0, 10, 22)))) == [1, 2]


def test_alike_but_far_away_is_another_thing():
    tracker = Tracker()
    tracker.update(make((0, 0, 0)), look([1, 0]))
    assert ids(tracker.update(make((0, 30, 30)), look([1, 0]))) == [2]


def test_zeros_are_no_looks():
    tracker = Tracker()
    tracker.update(make((0, 2, 2)), np.zeros((1, 2), np.float32))
    assert ids(tracker.update(make((0, 2, 3)), np.zeros((1, 2), np.float32))) == [1]
    assert ids(tracker.update(make((0, 30, 3)), look([1, 0]))) == [2]


def test_speed_is_used():
    tracker = Tracker()
    for x in (0, 3, 6, 9):  # a cat
        result = tracker.update(make((0, 4, x)))
    tracker.update(make())
    tracker.update(make())
    # 9 + 3 * 3 = 18, which its last place does not overlap.
    assert ids(tracker.update(make((0, 4, 17)))) == [1]
    assert ids(result) == [1]


def test_another_name_counts_against_a_pair():
    tracker = Tracker()
    tracker.update(make((0, 10, 10)))
    # The cup covers more of the track, but the cat is a cat.
    assert ids(tracker.update(make((1, 10, 7), (0, 10, 15)))) == [2, 1]


def test_the_name_is_that_of_the_largest_sum_of_scores():
    tracker = Tracker()
    names = []
    for label, score in ((0, 0.9), (1, 0.5), (1, 0.5), (0, 0.05)):
        result = tracker.update(make((label, 4, 4), score=score))
        assert ids(result) == [1]
        names.append(result.segments[0].name)
    assert names == ['cat', 'cat', 'cup', 'cup']


def test_ids_are_never_used_again():
    tracker = Tracker(memory=1)
    seen = []
    for step in range(4):
        seen += ids(tracker.update(make((0, 4, 8 * step))))
        tracker.update(make())
        tracker.update(make())
    assert seen == [1, 2, 3, 4]
    assert len(tracker._tracks) <= 1  # nothing is kept of the others


def test_frames_without_segments():
    tracker = Tracker()
    assert ids(tracker.update(make())) == []
    assert ids(tracker.update(make(), np.zeros((0, 4), np.float32))) == []
    with pytest.raises(ValueError, match='at least 1 frame'):
        Tracker(0)
