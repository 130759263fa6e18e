"""Metrics with part credit for near names, where nearness is known."""

import json

import numpy as np
import pytest
import torch
from panoptic_files import CATEGORIES, segment, write_dataset

from mmovseg.evaluation import PanopticMetric, SemanticMetric
from mmovseg.evaluation.name_similarity import compare_words, read_similarity
from mmovseg.evaluation.panoptic_metric import (
    SegmentTable,
    count_overlaps,
    match_near,
    match_segments,
)
from mmovseg.shapeworld.drawing import CLASSES, STUFF

WORLD = [
    dict(id=i + 1, name=name, isthing=int(name not in STUFF), color=[i, 2 * i, 3 * i])
    for i, name in enumerate(CLASSES)
]
SIDE = 12


def test_shared_words_are_what_classes_of_shapeworld_have_in_common():
    found = compare_words(CLASSES)
    for i, one in enumerate(CLASSES):
        for j, other in enumerate(CLASSES):
            if i == j:
                common = 1.0
            elif one in STUFF or other in STUFF:
                common = 0.0
            else:  # of color or pattern, and shape
                pairs = zip(one.split(), other.split(), strict=True)
                common = sum(a == b for a, b in pairs) / 2
            assert found[i, j] == common


def draw_truth():
    """Six stripes of different things, with 24 pixels each."""
    names = ('red star', 'blue star', 'dotted heart', 'green cross', 'snow', 'wood')
    labels = [CLASSES.index(name) for name in names]
    return np.arange(6).repeat(2 * SIDE).reshape(SIDE, SIDE), labels


def evaluate(root, called):
    """Evaluate masks of the truth with other names, by both metrics."""
    index, labels = draw_truth()
    entries = [segment(i + 1, label + 1) for i, label in enumerate(labels)]
    paths = write_dataset(root, {'a': (index + 1, entries)}, WORLD)
    guess = np.array([CLASSES.index(name) for name in called])[index]
    results = {}
    for kind in (PanopticMetric, SemanticMetric):
        metric = kind(**paths, similarity='words', seen=['red star', 'snow'])
        metric.dataset_meta = {}
        panoptic = torch.from_numpy(guess + 1000 * (index + 1))[None]
        sample = dict(
            img_id=100,
            pred_panoptic_seg=dict(sem_seg=panoptic, label_divisor=1000),
            pred_sem_seg=dict(sem_seg=torch.from_numpy(guess)[None]),
        )
        metric.process(None, [sample])
        results |= metric.evaluate(1)
    return results


@pytest.mark.parametrize(
    ('called', 'iou'),
    [
        # As it is; one of two words wrong in all things; another texture.
        (('red star', 'blue star', 'dotted heart', 'green cross', 'snow', 'wood'), 100),
        (
            ('red heart', 'blue cross', 'striped heart', 'green star', 'snow', 'wood'),
            50,
        ),
        (('grass', 'sand', 'brick', 'sky', 'tiles', 'water'), 0),
    ],
)
def test_credit_is_what_names_have_in_common(tmp_path, called, iou):
    found = evaluate(tmp_path, called)
    things = {100: 1.0, 50: 0.5, 0: 0.0}[iou]
    # Masks are right, so a thing's share of a true positive is its credit, and the rest
    # is missed: s / (s + (1 - s) / 2).
    quality = 100 * things / (things + (1 - things) / 2)
    stuff = 100 if called[4] == 'snow' else 0
    wrong = len(set(called) - {CLASSES[x] for x in draw_truth()[1]})
    expected = (4 * quality + 2 * stuff) / (6 + wrong)
    assert found['panoptic/open_PQ'] == pytest.approx(expected)
    plain = 100 if iou == 100 else 2 * stuff / (6 + wrong)
    assert found['panoptic/PQ'] == pytest.approx(plain)
    assert found['semantic/open_mIoU'] == pytest.approx((4 * iou + 2 * stuff) / 6)
    seen = found['semantic/open_mIoU_seen']
    assert seen == pytest.approx((iou + stuff) / 2)


def random_case(seed):
    rng = np.random.RandomState(seed)
    tables, maps = [], []
    for _ in range(2):
        blocks = rng.randint(0, 5, (4, 4)).repeat(3, 0).repeat(3, 1)
        noise = rng.rand(12, 12) < 0.1
        values = np.where(noise, rng.randint(0, 5, (12, 12)), blocks)
        ids = np.unique(values[values > 0])
        tables.append(
            SegmentTable(ids, rng.randint(0, 3, len(ids)), rng.rand(len(ids)) < 0.2)
        )
        maps.append(values)
    if rng.rand() < 0.7:  # mostly right
        maps[1] = np.where(rng.rand(12, 12) < 0.2, maps[1], maps[0])
        ids = np.unique(maps[1][maps[1] > 0])
        tables[1] = SegmentTable(ids, rng.randint(0, 3, len(ids)), ids < 0)
    return count_overlaps(*maps), *tables


def test_without_near_names_it_is_panoptic_quality():
    for seed in range(60):
        pairs, truth, guess = random_case(seed)
        iou, missed, wrong = match_segments(pairs, truth, guess)
        found, excess = match_near(pairs, truth, guess, np.eye(3))
        np.testing.assert_allclose(found[:, 0], iou)
        np.testing.assert_array_equal(found[:, 2], missed)
        np.testing.assert_array_equal(excess, wrong)


def test_a_matrix_from_a_file(tmp_path):
    names = [x['name'] for x in CATEGORIES]
    path = tmp_path / 'near.json'
    matrix = np.eye(4)
    matrix[0, 1] = matrix[1, 0] = 0.3
    order = [2, 1, 0, 3]
    content = dict(
        names=[names[i].title() for i in order],
        similarity=matrix[np.ix_(order, order)].tolist(),
    )
    path.write_text(json.dumps(content))
    np.testing.assert_array_equal(read_similarity(str(path), names), matrix)
    with pytest.raises(ValueError, match=r"says nothing of 1 classes, such as 'cow'"):
        read_similarity(str(path), ['cow'])
    for change in (
        dict(similarity=[[1]]),
        dict(similarity=(2 * matrix).tolist()),
        dict(similarity=(matrix + np.eye(4, k=1) / 9).tolist()),
    ):
        path.write_text(json.dumps(content | change))
        with pytest.raises(ValueError, match='must be 4 x 4, symmetric'):
            read_similarity(str(path), names)
    path.write_text(json.dumps(content | dict(names=['dog', 'cat', 'cat'])))
    with pytest.raises(ValueError, match=r"has 'cat' twice"):
        read_similarity(str(path), ['dog', 'cat'])
    path.write_text('{}')
    with pytest.raises(ValueError, match='must have "names" and "similarity"'):
        read_similarity(str(path), names)
    with pytest.raises(ValueError, match=r"'words' or a \.json file, got 'x'"):
        read_similarity('x', names)
    with pytest.raises(FileNotFoundError):
        read_similarity(str(tmp_path / 'no.json'), names)


def test_a_changed_file_is_read_by_the_next_metric(tmp_path):
    path = tmp_path / 'near.json'
    content = dict(names=['cat', 'dog'])
    for near in (0.0, 0.5):
        matrix = [[1, near], [near, 1]]
        path.write_text(json.dumps(content | dict(similarity=matrix)))
        metric = SemanticMetric(similarity=str(path))
        metric.dataset_meta = dict(classes=['cat', 'dog'])
        gt, guess = (dict(sem_seg=torch.full((1, 2, 2), x)) for x in (0, 1))
        sample = dict(img_id=1, gt_sem_seg=gt, pred_sem_seg=guess)
        metric.process({}, [sample])
        assert metric.evaluate(1)['semantic/open_mIoU'] == pytest.approx(100 * near)
