import pytest
import torch
from panoptic_files import CATEGORIES, segment, write_dataset

from mmovseg.evaluation import PresenceMetric


def evaluate(samples, num_classes, **options):
    metric = PresenceMetric(**options)
    metric.dataset_meta = {'classes': [str(i) for i in range(num_classes)]}
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def make_sample(annotated, kept=None, **fields):
    sample = {'gt_sem_seg': {'data': torch.tensor([[annotated]])}, **fields}
    return sample if kept is None else {**sample, 'kept_classes': torch.tensor(kept)}


def test_by_hand():
    samples = [
        make_sample([0, 1, 1, 255], [1, 3]),  # one of two
        make_sample([2, 2], [2]),
    ]
    result = evaluate(samples, 4, seen=['1', '2', '3'])
    assert result == pytest.approx(
        {
            'presence/recall': 75,
            'presence/recall_seen': 100,
            'presence/recall_unseen': 0,
            'presence/complete': 50,
            'presence/kept': 1.5,
        }
    )


def test_without_a_filter_all_names_are_kept_and_others_count_as_kept_only():
    assert evaluate([make_sample([0, 1])], 3)['presence/recall'] == 100
    result = evaluate([make_sample([0], [0, 7])], 3)
    assert (result['presence/recall'], result['presence/kept']) == (100, 2)


def test_repetitions_count_once_and_files_are_read(tmp_path):
    ids = [[5, 5, 6, 0]]
    paths = write_dataset(tmp_path, {'a': (ids, [segment(5, 7), segment(6, 3)])})
    sample = {'img_id': 100, 'kept_classes': torch.tensor([1])}
    result = evaluate([sample, sample], len(CATEGORIES), **paths)
    assert result['presence/recall'] == 50
