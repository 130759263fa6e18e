"""Seen, unseen and mask recall against the numbers of the reference code."""

import json

import numpy as np
import pytest
import torch

from mmovseg.evaluation import MaskRecallMetric, SemanticMetric
from mmovseg.evaluation.semantic_metric import ImageAreas


@pytest.fixture
def golden(shared):
    values = json.loads((shared / 'golden/deop_losses.json').read_text())
    return values, np.load(shared / 'golden/deop_losses.npz')


def split(values, num_classes=171):
    classes = [str(index) for index in range(num_classes)]
    unseen = set(values['unseen_contiguous_ids'])
    return classes, [name for name in classes if int(name) not in unseen]


def test_seen_and_unseen_of_a_confusion_matrix(golden):
    values, arrays = golden
    classes, seen = split(values)
    confusion = arrays['confusion'][:, :-1]  # [prediction, ground truth], none ignored
    areas = np.stack(
        [np.diag(confusion), confusion[:-1].sum(1), confusion.sum(0)], -1
    )  # [K, 3]
    metric = SemanticMetric(seen=seen)
    metric.dataset_meta = {'classes': classes}
    result = metric.compute_metrics([ImageAreas(0, np.arange(len(classes)), areas)])
    expected = values['metrics']
    for own, other in {
        'mIoU_union': 'mIoU',
        'pAcc': 'pACC',
        'mAcc': 'mACC',
        'mIoU_seen': 'mIoU-base',
        'mIoU_unseen': 'mIoU-unbase',
        'hIoU': 'hIoU-base',
        'pAcc_seen': 'pAcc-base',
        'pAcc_unseen': 'pAcc-unbase',
    }.items():
        assert result[own] == pytest.approx(expected[other], rel=1e-12), own


def test_the_two_mask_recalls(golden):
    values, arrays = golden
    classes, seen = split(values)
    metric = MaskRecallMetric(seen=seen, compatibility='deop')
    metric.dataset_meta = {'classes': classes}
    # sigmoid > 0.5 is logit > 0.
    masks = torch.tensor(arrays['recall_mask_logits']) > 0
    metric.process(
        None,
        [
            {
                'pred_proposals': {'masks': masks},
                'pred_sem_seg': {'data': torch.tensor(arrays['recall_pred'])[None]},
                'gt_sem_seg': {'data': torch.tensor(arrays['recall_gt'])[None]},
            }
        ],
    )
    counts = metric.results[0]
    result = metric.evaluate(1)
    proposals = values['recall']['proposals_iou_0.5']
    segments = values['recall']['map_segments_iou_0.3']
    names = ('countAllMask', 'countIoUSeen', 'countIoUUnseen')
    expected = [[source[name] for name in names] for source in (proposals, segments)]
    np.testing.assert_array_equal(counts.deop_hits, expected)
    number = [segments[f'count{kind}AllMask'] for kind in ('Seen', 'Unseen')]
    np.testing.assert_array_equal(counts.deop_masks, number)
    assert result['masks/deop_AP'] == pytest.approx(100 * proposals['AP'])
    for name in ('Recall', 'R_Seen', 'R_Unseen'):
        assert result[f'masks/deop_{name}'] == pytest.approx(100 * segments[name])
    assert result['masks/recall_50_unseen'] == 100  # both unseen masks are covered
    assert result['masks/recall_50_seen'] == 50
