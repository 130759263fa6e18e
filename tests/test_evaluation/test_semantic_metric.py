import math

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric
from panoptic_files import CATEGORIES, segment, write_dataset

from mmovseg.evaluation import SemanticMetric
from mmovseg.evaluation.semantic_metric import ImageAreas


def mmseg_sample(predicted, annotated=None, **fields):
    result = {'pred_sem_seg': {'data': torch.as_tensor(np.asarray(predicted))[None]}}
    if annotated is not None:
        result['gt_sem_seg'] = {'data': torch.as_tensor(np.asarray(annotated))[None]}
    return {**result, **fields}


def evaluate(samples, num_classes, **options):
    metric = SemanticMetric(**options)
    metric.dataset_meta = {'classes': [str(i) for i in range(num_classes)]}
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_both_means_by_hand():
    # Class 0: 2 of 3 in the union; class 1: 1 of 2; class 2 only predicted; class 3
    # nowhere; one pixel ignored.
    predicted = [[0, 0, 1, 2, 0]]
    annotated = [[0, 0, 1, 1, 255]]
    result = evaluate([mmseg_sample(predicted, annotated)], 4, classwise=True)
    assert result == pytest.approx(
        {
            'semantic/mIoU': 100 * (1 + 1 / 2) / 2,
            'semantic/mIoU_union': 100 * (1 + 1 / 2 + 0) / 3,
            'semantic/mAcc': 100 * (1 + 1 / 2) / 2,
            'semantic/pAcc': 75,
        }
    )


def test_mdet_fields_are_read_too():
    data = mmseg_sample([[0, 1]], [[0, 0]])
    for name in ('pred_sem_seg', 'gt_sem_seg'):
        data[name] = {'sem_seg': data[name].pop('data')}
    assert evaluate([data], 2)['semantic/pAcc'] == 50


@pytest.mark.parametrize('num_classes', [3, 19, 200])
def test_equals_mmseg_where_mmseg_is_right(num_classes):
    rng = np.random.RandomState(num_classes)
    other = IoUMetric()
    samples = []
    for _ in range(5):
        annotated = rng.randint(0, num_classes, (13, 17))
        predicted = np.where(rng.rand(13, 17) < 0.6, annotated, (annotated + 1) % 3)
        annotated[rng.rand(13, 17) < 0.1] = 255
        samples.append(mmseg_sample(predicted, annotated))
    other.dataset_meta = {'classes': [str(i) for i in range(num_classes)]}
    other.process(None, samples)
    expected = other.evaluate(5)
    result = evaluate(samples, num_classes)
    assert result['semantic/mIoU_union'] == pytest.approx(expected['mIoU'], abs=0.006)
    assert result['semantic/pAcc'] == pytest.approx(expected['aAcc'], abs=0.006)
    assert result['semantic/mAcc'] == pytest.approx(expected['mAcc'], abs=0.006)
    assert result['semantic/mIoU'] >= result['semantic/mIoU_union']


def test_class_255_is_a_class_when_there_are_300():
    data = mmseg_sample([[255, 254, 299]], [[255, 255, 65535]])
    assert evaluate([data], 300)['semantic/mIoU'] == 50
    # A map that says what it ignores is believed, and so is the argument.
    data['gt_sem_seg']['ignore_index'] = 255
    assert math.isnan(evaluate([data], 300)['semantic/mIoU'])
    del data['gt_sem_seg']['ignore_index']
    assert math.isnan(evaluate([data], 300, ignore_index=255)['semantic/mIoU'])


def test_void_predictions_are_wrong_but_nobodys():
    data = mmseg_sample([[2, 0, 255]], [[0, 0, 0]])
    result = evaluate([data], 2)
    assert result['semantic/mIoU'] == result['semantic/mIoU_union']
    assert result['semantic/mIoU'] == pytest.approx(100 / 3)


def test_sums_are_exact_beyond_float32():
    """mmseg adds counts in float32, which stops at 2**24."""
    metric = SemanticMetric()
    metric.dataset_meta = {'classes': ['a']}
    label = np.array([0])
    large, small = np.array([[2**24, 2**24, 2**24]]), np.array([[0, 0, 1]])
    images = [ImageAreas(1, label, large), ImageAreas(2, label, small)]
    assert metric.compute_metrics(images)['pAcc'] == 100 * 2**24 / (2**24 + 1)


def test_ground_truth_from_panoptic_files(tmp_path):
    ids = np.array([[5, 5, 6, 9, 0]])
    entries = [segment(5, 7), segment(6, 3), segment(9, 3, iscrowd=1)]
    paths = write_dataset(tmp_path, {'a': (ids, entries)})
    # wall 0, dog 1 (crowd included), void: the last pixel is free.
    data = mmseg_sample([[0, 1, 1, 1, 3]], img_id=100, img_path='a.jpg')
    result = evaluate([data], len(CATEGORIES), **paths)
    assert result['semantic/mIoU'] == pytest.approx(100 * (1 / 2 + 2 / 3) / 2)
    assert result['semantic/pAcc'] == 75
    assert evaluate([data, data], 4, **paths) == result  # repeated by a sampler


@pytest.mark.parametrize(
    ('data', 'error', 'words'),
    [
        (
            mmseg_sample([[0, 1]], [[0]], img_path='some/a.jpg'),
            ValueError,
            r'some/a\.jpg is \(1, 2\).*its annotation is \(1, 1\)',
        ),
        (mmseg_sample([[0]], img_path='some/a.jpg'), KeyError, r'a\.jpg has no gt_sem'),
    ],
)
def test_what_does_not_fit_is_refused(data, error, words):
    with pytest.raises(error, match=words):
        evaluate([data], 2)


def test_a_model_with_another_vocabulary_is_refused():
    data = mmseg_sample([[0]], [[0]])
    data['pred_sem_seg']['label_names'] = ['a', 'b', 'c']
    with pytest.raises(ValueError, match='predicts 3 classes, the dataset has 2'):
        evaluate([data], 2)


def test_half_of_the_files_is_refused():
    with pytest.raises(ValueError, match='go together'):
        SemanticMetric(ann_file='x.json')


# Seen and unseen classes


def test_seen_and_unseen_by_hand():
    # Classes '0' and '2' are seen. IoU: 2/3, 1/3, 0 (only predicted), 1/1.
    predicted = [[0, 0, 1, 2, 0, 0, 3]]
    annotated = [[0, 0, 1, 1, 1, 255, 3]]
    result = evaluate([mmseg_sample(predicted, annotated)], 5, seen=['2', '0'])
    seen, unseen = 100 * (2 / 3 + 0) / 2, 100 * (1 / 3 + 1) / 2
    assert result['semantic/mIoU_seen'] == pytest.approx(seen)
    assert result['semantic/mIoU_unseen'] == pytest.approx(unseen)
    assert result['semantic/hIoU'] == pytest.approx(2 / (1 / seen + 1 / unseen))
    assert result['semantic/pAcc_seen'] == 100
    assert result['semantic/pAcc_unseen'] == 50
    whole = evaluate([mmseg_sample(predicted, annotated)], 5)
    assert whole == {name: result[name] for name in whole}  # the rest stays


def test_harmonic_mean_of_nothing():
    data = mmseg_sample([[0, 0]], [[0, 1]])
    result = evaluate([data], 2, seen=['0'])
    assert result['semantic/mIoU_unseen'] == result['semantic/hIoU'] == 0
    data = mmseg_sample([[1, 0]], [[0, 1]])
    assert evaluate([data], 2, seen=['0'])['semantic/hIoU'] == 0
    data = mmseg_sample([[0, 0]], [[0, 0]])  # no unseen class anywhere
    result = evaluate([data], 2, seen=['0'])
    assert math.isnan(result['semantic/mIoU_unseen'])
    assert math.isnan(result['semantic/hIoU'])


@pytest.mark.parametrize(
    ('seen', 'words'),
    [
        (['0', '7'], "1 of 2 seen classes are no classes of the dataset: '7'"),
        (['1', '0'], 'All 2 classes .* are seen'),
        ('plain/voc_51', "Did you mean 'plain/voc_"),
    ],
)
def test_a_split_that_does_not_fit_is_refused_at_once(seen, words):
    metric = SemanticMetric(seen=seen)
    with pytest.raises(ValueError, match=words):
        metric.dataset_meta = {'classes': ['0', '1']}
