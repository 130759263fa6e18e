"""Samples that lack fields, and images that share an id."""

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from panoptic_files import segment, write_dataset

from mmovseg.evaluation import (
    InstanceMetric,
    MaskRecallMetric,
    PanopticMetric,
    SemanticMetric,
)

IDS = np.array([[5, 5, 6]])
LABELS = torch.tensor([[[0, 0, 1]]])
PANOPTIC = (PanopticMetric, SemanticMetric, MaskRecallMetric)


@pytest.fixture
def paths(tmp_path):
    return write_dataset(tmp_path, {'a': (IDS, [segment(5, 7), segment(6, 3)])})


def make_sample(image_id=100, path='one/a.jpg', **changes):
    sample = {
        'img_id': image_id,
        'img_path': path,
        'pred_sem_seg': {'sem_seg': LABELS},
        'pred_panoptic_seg': {'sem_seg': LABELS + 1000, 'label_divisor': 1000},
        'pred_proposals': {'masks': torch.arange(4)[:, None, None] == LABELS},
        'gt_sem_seg': {'sem_seg': LABELS},
        **changes,
    }
    return {key: value for key, value in sample.items() if value is not None}


def build(kind, paths):
    metric = kind(**paths)
    metric.dataset_meta = {'classes': ['a', 'b', 'c', 'd']}
    return metric


@pytest.mark.parametrize('kind', PANOPTIC)
def test_two_photos_of_one_id_are_refused(paths, kind):
    """As with ConcatDataset, when each set counts its images from 1."""
    metric = build(kind, paths)
    metric.process(None, [make_sample()])
    metric.process(None, [make_sample()])  # repeated by a sampler
    with pytest.raises(ValueError, match=r'id 100 .*one/a\.jpg and two/a\.jpg'):
        metric.process(None, [make_sample(path='two/a.jpg')])
    # In another process, where only the gathered results tell.
    other = build(kind, paths)
    other.process(None, [make_sample(path='two/a.jpg')])
    with pytest.raises(ValueError, match=r'one/a\.jpg and two/a\.jpg'):
        metric.compute_metrics(metric.results + other.results)


@pytest.mark.parametrize('kind', [SemanticMetric, MaskRecallMetric])
def test_without_files_images_of_one_id_all_count(kind):
    metric = build(kind, {})
    other = make_sample(
        path='two/a.jpg', gt_sem_seg={'sem_seg': LABELS[..., [0, 0, 0]]}
    )
    for sample in (make_sample(), other, make_sample()):
        metric.process(None, [sample])
    results = metric.ground_truth.one_per_image(metric.results)
    assert [item.img_path for item in results] == ['one/a.jpg', 'two/a.jpg']
    # Without paths nothing but the annotation tells them apart.
    metric = build(kind, {})
    for sample in (make_sample(path=None), {**other, 'img_path': None}):
        metric.process(None, [sample])
    with pytest.raises(ValueError, match=r'id 100 .*different annotations'):
        metric.evaluate(2)


FIELDS = {
    PanopticMetric: ('img_id', 'pred_panoptic_seg'),
    SemanticMetric: ('img_id', 'pred_sem_seg'),
    MaskRecallMetric: ('img_id', 'pred_proposals'),
}


@pytest.mark.parametrize(
    ('kind', 'key'), [(kind, key) for kind, keys in FIELDS.items() for key in keys]
)
def test_a_missing_field_is_named_with_metric_and_advice(paths, kind, key):
    with pytest.raises(KeyError) as error:
        build(kind, paths).process(None, [make_sample(**{key: None})])
    text = str(error.value)
    assert all(part in text for part in (kind.__name__, key, 'one/a.jpg', ': '))


@pytest.mark.parametrize('kind', [SemanticMetric, MaskRecallMetric])
def test_missing_annotations_and_names_are_told(kind):
    with pytest.raises(KeyError, match=rf'gt_sem_seg, which {kind.__name__} needs'):
        build(kind, {}).process(None, [make_sample(gt_sem_seg=None)])
    metric = kind()
    metric.dataset_meta = {}
    with pytest.raises(KeyError, match=rf'{kind.__name__} needs class names'):
        metric.process(None, [make_sample()])


@pytest.mark.parametrize(
    ('field', 'words'),
    [
        ({'sem_seg': LABELS.float()}, 'argmax'),
        ({'sem_seg': LABELS.repeat(4, 1, 1)}, r'\[1, H, W\]'),
        ({'seg': LABELS}, r'sem_seg \(mmdet\) nor data \(mmseg\)'),
    ],
)
def test_what_is_no_map_is_told(paths, field, words):
    with pytest.raises((KeyError, ValueError), match=words):
        build(SemanticMetric, paths).process(None, [make_sample(pred_sem_seg=field)])


def test_ids_of_another_type_are_told(paths):
    for kind in PANOPTIC:
        with pytest.raises(KeyError, match=r"'100' is not .*there is 100, of another"):
            build(kind, paths).process(None, [make_sample('100')])


def test_unlisted_values_of_a_map_are_told_once(monkeypatch):
    texts = []
    monkeypatch.setattr(
        'mmovseg.evaluation.label_maps.print_log', lambda text, **_: texts.append(text)
    )
    metric = build(SemanticMetric, {})
    for value in (255, 65535, -1):
        truth = {'sem_seg': torch.tensor([[[0, 0, value]]])}
        metric.process(None, [make_sample(value, gt_sem_seg=truth)])
    assert not texts
    for image_id in (1, 2):
        truth = {'sem_seg': torch.tensor([[[0, 0, 9]]])}
        metric.process(None, [make_sample(image_id, gt_sem_seg=truth)])
    (text,) = texts
    assert 'one/a.jpg' in text and 'such as 9' in text


def test_no_result_at_all(paths):
    for kind in PANOPTIC:
        values = build(kind, paths).compute_metrics([])
        assert all(np.isnan(x) for name, x in values.items() if name != 'num_missing')


def test_samples_of_the_evaluator_without_ids(paths):
    """As mmseg packs them."""
    evaluator = Evaluator([{'type': 'mmovseg.SemanticMetric', **paths}])
    evaluator.dataset_meta = {}
    with pytest.raises(KeyError, match='meta_keys of the transform that packs'):
        evaluator.process([make_sample(None)])


def test_instances_need_ids_too(tmp_path):
    path = tmp_path / 'instances.json'
    path.write_text(
        '{"images": [{"id": 1}], "annotations": [], '
        '"categories": [{"id": 3, "name": "b"}]}'
    )
    metric = build(InstanceMetric, {'ann_file': str(path)})
    with pytest.raises(KeyError, match='img_id, which InstanceMetric needs'):
        metric.process(None, [make_sample(None)])
    with pytest.raises(KeyError, match='pred_instances, which InstanceMetric needs'):
        metric.process(None, [make_sample(1)])
