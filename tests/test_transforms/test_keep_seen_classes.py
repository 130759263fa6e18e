import numpy as np
import pytest

from mmovseg.transforms import KeepSeenClasses


def test_seen_classes_are_renumbered_and_the_rest_ignored():
    keep = KeepSeenClasses(['sky', 'dog', 'sea', 'cat'], ['cat', 'dog'])
    labels = np.array([[0, 1, 2, 3], [255, 4, 3, 1]], np.uint8)
    results = keep({'gt_seg_map': labels, 'img': 'untouched'})
    expected = [[255, 1, 255, 0], [255, 255, 0, 1]]  # in the order of `seen`
    assert results['gt_seg_map'].tolist() == expected
    assert results['gt_seg_map'].dtype == np.uint8
    assert results['img'] == 'untouched'


def test_more_than_255_classes():
    names = [f'class {index}' for index in range(400)]
    keep = KeepSeenClasses(names, names[1:], ignore_index=65535)
    labels = np.array([[0, 1, 256, 399, 65535, -2]], np.int32)
    kept = keep({'gt_seg_map': labels})['gt_seg_map']
    assert kept.tolist() == [[65535, 0, 255, 398, 65535, 65535]]


def test_images_without_a_seen_class_stay_or_go():
    labels = np.array([[0, 255]], np.uint8)
    keep = KeepSeenClasses(['a', 'b'], ['b'])
    assert keep({'gt_seg_map': labels})['gt_seg_map'].tolist() == [[255, 255]]
    keep = KeepSeenClasses(['a', 'b'], ['b'], skip_empty=True)
    assert keep({'gt_seg_map': labels}) is None
    assert keep({'gt_seg_map': labels + 1}) is not None


def test_a_split_that_names_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match=r"1 of 2 seen classes .*: 'c'"):
        KeepSeenClasses(['a', 'b'], ['b', 'c'])


def test_an_ignored_value_that_is_a_class_is_refused():
    with pytest.raises(ValueError, match='2 seen classes need an ignore_index'):
        KeepSeenClasses(['a', 'b'], ['a', 'b'], ignore_index=1)
