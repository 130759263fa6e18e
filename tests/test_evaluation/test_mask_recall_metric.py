import math

import numpy as np
import pytest
import torch
from panoptic_files import CATEGORIES, segment, write_dataset

from mmovseg.evaluation import MaskRecallMetric
from mmovseg.evaluation.mask_recall_metric import count_hits, intersect


def make_sample(masks, annotated=None, predicted=None, **fields):
    """Proposals as rows of pixels, one row of annotation."""
    masks = torch.as_tensor(masks, dtype=torch.bool)
    result = {'pred_proposals': {'masks': masks[:, None]}}
    for name, labels in (('gt_sem_seg', annotated), ('pred_sem_seg', predicted)):
        if labels is not None:
            result[name] = {'data': torch.tensor([[labels]])}
    return {**result, **fields}


def evaluate(samples, num_classes, **options):
    metric = MaskRecallMetric(**options)
    metric.dataset_meta = {'classes': [str(i) for i in range(num_classes)]}
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_recall_by_hand():
    annotated = [0, 0, 0, 1, 1, 1, 2, 255, 255]
    masks = [
        [1, 1, 0, 0, 0, 0, 0, 1, 1],  # class 0: 2/3, what is unlabeled does not count
        [1, 1, 1, 1, 1, 0, 0, 0, 0],  # class 0: 3/5; class 1: 2/6
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    data = make_sample(masks, annotated)
    result = evaluate([data], 4, seen=['0', '2', '3'])
    assert result == pytest.approx(
        {
            'masks/recall_30': 200 / 3,
            'masks/recall_30_seen': 50,
            'masks/recall_30_unseen': 100,
            'masks/recall_50': 100 / 3,
            'masks/recall_50_seen': 50,
            'masks/recall_50_unseen': 0,
        }
    )
    # 2/3 is not above 2/3.
    assert evaluate([data], 4, iou_thrs=(0.6, 2 / 3)) == pytest.approx(
        {'masks/recall_60': 100 / 3, 'masks/recall_66.6667': 0}
    )


def test_masks_of_all_images_are_put_together():
    hit, miss = make_sample([[1]], [0]), make_sample([[0]], [0])
    data = [hit, miss, miss, make_sample([[1, 0], [0, 1]], [1, 0])]
    assert evaluate(data, 2)['masks/recall_50'] == 60
    data = [{**hit, 'img_id': 1}, {**miss, 'img_id': 2}, {**miss, 'img_id': 2}]
    assert evaluate(data, 2)['masks/recall_50'] == 50  # repeated by a sampler


def test_nothing_annotated_and_nothing_proposed():
    assert math.isnan(evaluate([make_sample([[1]], [255])], 2)['masks/recall_50'])
    none = make_sample(torch.zeros(0, 2), [0, 1])
    assert evaluate([none], 2)['masks/recall_30'] == 0


def test_ground_truth_from_panoptic_files(tmp_path):
    ids = np.array([[5, 5, 6, 9, 0]])
    entries = [segment(5, 7), segment(6, 3), segment(9, 3)]
    paths = write_dataset(tmp_path, {'a': (ids, entries)})
    data = make_sample([[1, 1, 0, 0, 0], [0, 0, 1, 0, 1]], img_id=100)
    result = evaluate([data], len(CATEGORIES), iou_thrs=(0.5,), **paths)
    assert result == {'masks/recall_50': 50}  # wall is covered, of dog one half


def test_intersections_equal_a_loop():
    rng = np.random.RandomState(0)
    masks, labels = rng.rand(5, 6, 7) < 0.4, rng.randint(0, 4, (6, 7))
    expected = [[(mask & (labels == k)).sum() for k in range(4)] for mask in masks]
    np.testing.assert_array_equal(intersect(masks, labels, 3), expected)


def test_deop_counts_by_hand():
    """Proposals hit above 0.5, segments above 0.3; unlabeled is one more seen mask."""
    annotated = [0, 0, 1, 1, 255, 255]
    masks = [
        [1, 1, 0, 0, 0, 0],  # hits 0, unseen
        [1, 1, 0, 0, 0, 0],  # hits it again
        [0, 0, 1, 0, 0, 0],  # 1/2 is not above
        [0, 0, 0, 0, 1, 1],  # hits the unlabeled
        [0, 0, 0, 0, 0, 0],  # empty
    ]
    predicted = [0, 0, 0, 0, 2, 2]  # class 0: 1/2 with 0 and with 1; 0 has the hit
    data = make_sample(masks, annotated, predicted)
    result = evaluate([data], 3, seen=['1', '2'], compatibility='deop')
    assert result['masks/deop_AP'] == 75
    assert result['masks/deop_Recall'] == 100
    assert result['masks/deop_R_Seen'] == 50  # the unlabeled is hit, class 1 is not
    assert result['masks/deop_R_Unseen'] == 100
    assert result['masks/recall_50'] == 50


def test_a_prediction_hits_the_first_mask_only():
    number, hits = count_hits(
        np.array([[2, 3, 0], [0, 0, 0]]), np.array([2, 3, 1]), 0.3
    )
    assert (number, hits.tolist()) == (1, [1, 0, 0])


@pytest.mark.parametrize(
    ('data', 'error', 'words'),
    [
        ({'img_path': 'some/a.jpg'}, KeyError, r'a\.jpg has no pred_proposals'),
        (make_sample([[1]], img_path='b.jpg'), KeyError, r'b\.jpg has no gt_sem_seg'),
        (
            make_sample([[1, 1]], [0], img_path='c.jpg'),
            ValueError,
            r'proposal for c\.jpg is \(1, 2\).*annotation is \(1, 1\)',
        ),
        (make_sample([[1]], [0]), KeyError, 'no pred_sem_seg'),
        (make_sample([[1]], [0], [[0, 1]]), ValueError, 'prediction for'),
    ],
)
def test_what_does_not_fit_is_refused(data, error, words):
    with pytest.raises(error, match=words):
        evaluate([data], 2, seen=['0'], compatibility='deop')


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'iou_thrs': (0.5, 1)}, r'\(0, 1\), got \(0.5, 1\)'),
        ({'compatibility': 'detr'}, "None or 'deop', got 'detr'"),
        ({'compatibility': 'deop'}, 'give `seen`'),
        ({'ann_file': 'x.json'}, 'go together'),
    ],
)
def test_wrong_settings_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        MaskRecallMetric(**options)


def test_unknown_seen_classes_are_refused():
    with pytest.raises(ValueError, match="no classes of the dataset: 'cow'"):
        evaluate([make_sample([[1]], [0])], 2, seen=['cow'])
