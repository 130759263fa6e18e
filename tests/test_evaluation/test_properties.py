"""Metrics equal slow ones on whatever maps hypothesis comes up with."""

import io
import json
import math
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from metric_oracles import (
    slow_average_precision,
    slow_panoptic_quality,
    slow_recall,
    slow_semantic_scores,
)
from panoptic_files import segment, write_dataset
from pycocotools import mask as rle

from mmovseg.evaluation import (
    InstanceMetric,
    MaskRecallMetric,
    PanopticMetric,
    SemanticMetric,
)

# The same examples on every machine: a failure is to be repeatable.
settings.register_profile('repeatable', derandomize=True, deadline=None, database=None)
repeatable = settings.get_profile('repeatable')
KINDS = st.sampled_from([1, 2, 5, 300, 1203])  # numbers of classes


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Keep the tables of hundreds of evaluations out of the log."""
    for module in ('panoptic', 'semantic', 'mask_recall', 'instance'):
        path = f'mmovseg.evaluation.{module}_metric.print_log'
        monkeypatch.setattr(path, lambda *_, **__: None)


def label_values(num_classes):
    """Few of the classes, the last one too, so that they meet in a small map."""
    return sorted({0, num_classes // 2, 255 % num_classes, num_classes - 1})


@st.composite
def label_images(draw):
    """K, an ignored value, and images: predicted and annotated maps of 2 x W."""
    num_classes = draw(KINDS)
    ignored = draw(st.sampled_from([255, 65535]))
    values = label_values(num_classes)
    predicted = st.sampled_from([*values, num_classes, 65535])
    annotated = st.sampled_from([*values, 255, 65535])
    images = []
    for _ in range(draw(st.integers(1, 3))):
        size = 2, draw(st.integers(1, 6))
        maps = [
            draw(arrays(np.int64, size, elements=x)) for x in (predicted, annotated)
        ]
        images.append(maps)
    return num_classes, ignored, images


def semantic_sample(number, predicted, annotated):
    return {
        'img_id': number,
        'pred_sem_seg': {'sem_seg': torch.from_numpy(predicted)[None]},
        'gt_sem_seg': {'sem_seg': torch.from_numpy(annotated)[None]},
    }


def run(metric, samples, num_classes):
    metric.dataset_meta = {'classes': [str(i) for i in range(num_classes)]}
    for sample in samples:
        metric.process(None, [sample])
    result = metric.evaluate(len(samples))
    return {name.split('/')[1]: value for name, value in result.items()}


def assert_equal(result, expected):
    for name, value in expected.items():
        assert result[name] == pytest.approx(value, rel=1e-12, nan_ok=True), name


@settings(repeatable, max_examples=60)
@given(label_images())
@example((300, 65535, [[np.array([[255, 299]]), np.array([[255, 255]])]]))
@example((2, 255, [[np.array([[2, 0]]), np.array([[1, 255]])]]))
def test_semantic_metric_equals_a_count_of_pixels(data):
    num_classes, ignored, images = data
    seen = set(label_values(num_classes)[: num_classes - 1]) - {num_classes - 1}
    options = {'seen': [str(i) for i in sorted(seen)]} if seen else {}
    samples = [semantic_sample(i, *maps) for i, maps in enumerate(images)]
    metric = SemanticMetric(ignore_index=ignored, **options)
    result = run(metric, samples, num_classes)
    flat = [[part.ravel().tolist() for part in maps] for maps in images]
    expected = slow_semantic_scores(flat, num_classes, ignored, seen)
    if not seen:
        expected = {key: expected[key] for key in ('mIoU', 'mIoU_union', 'pAcc')}
    assert_equal(result, expected)


@settings(repeatable, max_examples=30)
@given(label_images(), st.randoms(use_true_random=False))
def test_order_and_repetition_of_images_do_not_matter(data, random):
    num_classes, ignored, images = data
    samples = [semantic_sample(i, *maps) for i, maps in enumerate(images)]
    once = run(SemanticMetric(ignore_index=ignored), samples, num_classes)
    again = [*samples, *random.choices(samples, k=2)]
    random.shuffle(again)
    # Exactly: sums of integers.
    assert_same(once, run(SemanticMetric(ignore_index=ignored), again, num_classes))


def assert_same(one, two):
    assert {k: v for k, v in one.items() if not math.isnan(v)} == {
        k: v for k, v in two.items() if not math.isnan(v)
    }


@settings(repeatable, max_examples=60)
@given(
    data=label_images(),
    threshold=st.sampled_from([0.3, 0.5]),
    draw=st.data(),
)
def test_mask_recall_equals_sets_of_pixels(data, threshold, draw):
    num_classes, _, images = data
    samples, sets = [], []
    for number, (_, annotated) in enumerate(images):
        shape = (draw.draw(st.integers(0, 3)), *annotated.shape)
        masks = draw.draw(arrays(bool, shape))
        sample = semantic_sample(number, annotated, annotated)
        sample['pred_proposals'] = {'masks': torch.from_numpy(masks)}
        samples.append(sample)
        proposals = [set(np.flatnonzero(mask).tolist()) for mask in masks]
        sets.append((proposals, annotated.ravel().tolist()))
    result = run(MaskRecallMetric(iou_thrs=(threshold,)), samples, num_classes)
    expected = slow_recall(sets, num_classes, threshold)
    assert_equal(result, {f'recall_{100 * threshold:g}': expected})


@st.composite
def panoptic_images(draw):
    """Classes with thing flags, and images: ids, segments, predicted maps."""
    num_classes = draw(st.sampled_from([1, 3, 1203]))
    values = st.sampled_from(sorted({0, num_classes // 2, num_classes - 1}))
    images = []
    for _ in range(draw(st.integers(1, 2))):
        size = draw(st.integers(1, 4)), draw(st.integers(1, 6))
        truth, guess = (
            draw(arrays(np.int64, size, elements=st.integers(0, 4))) for _ in range(2)
        )
        segments = {
            int(i): (draw(values), draw(st.booleans()))
            for i in np.unique(truth[truth > 0])
        }
        labels = {int(i): draw(values) for i in np.unique(guess[guess > 0])}
        if draw(st.booleans()):  # right in most pixels
            guess = np.where(guess > 1, guess, truth)
            labels |= {
                i: label for i, (label, _) in segments.items() if i not in labels
            }
        images.append((truth, segments, guess, labels))
    things = draw(st.integers(0, 1))
    return [bool((i + things) % 2) for i in range(num_classes)], images


@settings(repeatable, max_examples=60)
@given(panoptic_images())
def test_panoptic_metric_equals_the_definition(tmp_path_factory, data):
    is_thing, images = data
    divisor = 10_000
    categories = [
        {'id': 2 * i + 5, 'name': str(i), 'isthing': int(thing)}
        for i, thing in enumerate(is_thing)
    ]
    files, samples, masks = {}, [], []
    for number, (truth, segments, guess, labels) in enumerate(images):
        listed = [
            segment(i, categories[label]['id'], iscrowd=int(crowd))
            for i, (label, crowd) in segments.items()
        ]
        files[str(number)] = truth, listed
        codes = np.full(guess.shape, len(is_thing))
        for i in np.unique(guess[guess > 0]):
            codes[guess == i] = labels[int(i)] + divisor * int(i)
        prediction = {'sem_seg': torch.from_numpy(codes), 'label_divisor': divisor}
        samples.append({'img_id': 100 + number, 'pred_panoptic_seg': prediction})
        masks.append(
            (
                [(truth == i, label, crowd) for i, (label, crowd) in segments.items()],
                [(guess == i, labels[int(i)]) for i in np.unique(guess[guess > 0])],
                truth.shape,
            )
        )
    paths = write_dataset(tmp_path_factory.mktemp('panoptic'), files, categories)
    result = run(PanopticMetric(**paths), samples, len(is_thing))
    assert_equal(result, slow_panoptic_quality(masks, is_thing))


@st.composite
def instance_images(draw):
    """Truths and guesses in two images of 2 x 4 with two categories."""
    masks = arrays(bool, (2, 4)).filter(np.any)
    place = st.integers(0, 1), st.sampled_from([3, 12])
    truths = draw(st.lists(st.tuples(*place, masks, st.booleans()), max_size=5))
    scores = st.sampled_from([0.25, 0.5, 0.75])
    guesses = draw(st.lists(st.tuples(*place, masks, scores), max_size=6))
    if truths and draw(st.booleans()):  # a right one among them
        guesses.append((*truths[0][:3], draw(scores)))
    return truths, guesses


def row(pixels):
    return np.array([pixels] * 2, bool)


# A dog, and a crowd of dogs that excuses a detection in its middle.
CROWD = [(0, 3, row([1, 0, 0, 0]), False), (0, 3, row([0, 1, 1, 1]), True)]


@settings(repeatable, max_examples=40)
@given(instance_images())
@example((CROWD, [(0, 3, row([0, 0, 1, 0]), 0.75), (0, 3, row([1, 0, 0, 0]), 0.5)]))
@example((CROWD, [(0, 3, row([1, 0, 1, 0]), 0.75), (0, 3, row([1, 0, 0, 0]), 0.5)]))
def test_instance_metric_equals_the_definition(tmp_path_factory, data):
    truths, guesses = data
    path = tmp_path_factory.mktemp('instances') / 'instances.json'
    path.write_text(json.dumps(instance_file(truths)))
    names, category_ids = ('wall', 'dog', 'kite'), (7, 3, 12)
    with redirect_stdout(io.StringIO()):
        metric = InstanceMetric(ann_file=str(path), metric='segm')
        metric.dataset_meta = {'classes': names, 'category_ids': category_ids}
        for image in range(2):
            mine = [guess for guess in guesses if guess[0] == image]
            metric.process(None, [instance_sample(image, mine, category_ids)])
        result = metric.evaluate(2)

    def pixels(rows):
        return [(a, b, set(np.flatnonzero(m).tolist()), c) for a, b, m, c in rows]

    expected = slow_average_precision(pixels(truths), pixels(guesses), (3, 12))
    assert result['instance/segm_mAP'] == pytest.approx(expected, nan_ok=True)


def instance_file(truths):
    annotations = []
    for number, (image, category, mask, crowd) in enumerate(truths, 1):
        code = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
        annotations.append(
            {
                'id': number,
                'image_id': image,
                'category_id': category,
                'iscrowd': int(crowd),
                'area': int(mask.sum()),
                'bbox': [0, 0, 4, 2],
                'segmentation': {**code, 'counts': code['counts'].decode()},
            }
        )
    return {
        'images': [
            {'id': i, 'height': 2, 'width': 4, 'file_name': f'{i}.jpg'}
            for i in range(2)
        ],
        'annotations': annotations,
        'categories': [{'id': 3, 'name': 'DOG'}, {'id': 12, 'name': 'KITE'}],
    }


def instance_sample(image, guesses, category_ids):
    labels = [category_ids.index(category) for _, category, _, _ in guesses]
    masks = np.array([mask for _, _, mask, _ in guesses]).reshape(-1, 2, 4)
    return {
        'img_id': image,
        'ori_shape': (2, 4),
        'pred_instances': {
            'bboxes': torch.zeros(len(labels), 4),
            'labels': torch.tensor(labels, dtype=torch.long),
            'scores': torch.tensor([score for *_, score in guesses]),
            'masks': torch.from_numpy(masks).bool(),
        },
    }
