"""Criteria of the official DeOP, stages 2 and 3, on recorded predictions."""

import json

import numpy as np
import pytest
import torch

from mmovseg.models.losses import ProposalLoss, SemanticMapLoss
from mmovseg.models.structures import MaskPrediction, MaskTarget


@pytest.fixture(scope='module')
def golden(shared):
    folder = shared / 'golden'
    arrays = np.load(folder / 'deop_losses.npz')
    values = json.loads((folder / 'deop_losses.json').read_text())
    return {name: torch.from_numpy(arrays[name]) for name in arrays.files}, values


def targets_of(label_maps):
    targets = []
    for label_map in label_maps:
        labels = label_map.unique()
        labels = labels[labels != 255]
        targets.append(MaskTarget(labels, label_map == labels[:, None, None]))
    return targets


def test_stage_2_losses_and_matches(golden):
    arrays, values = golden
    stages = [
        MaskPrediction(arrays[f's2_{name}_logits'], arrays[f's2_{name}_masks'])
        for name in ('aux', 'pred')
    ]
    targets = targets_of(arrays['s2_sem_seg'])
    criterion = ProposalLoss(class_weight=1.0)
    losses = criterion(stages, targets)
    weights = dict(loss_ce=1, loss_mask=20, loss_dice=1)
    assert len(losses) == 6
    for name, weight in weights.items():
        for ours, theirs in ((f's0_{name}', f'{name}_0'), (f's1_{name}', name)):
            expected = weight * values['stage2'][theirs]
            assert losses[ours].item() == pytest.approx(expected, rel=1e-6), ours
    pairs = criterion.match(stages[1].mask_logits, targets)
    matches = [[part.tolist() for part in pair] for pair in pairs]
    assert matches == values['stage2_matches']


def test_stage_3_losses(golden):
    arrays, values = golden
    stage = MaskPrediction(arrays['s3_pred_logits'], arrays['s3_pred_masks'])
    losses = SemanticMapLoss()([stage], targets_of(arrays['s3_sem_seg']))
    expected = values['stage3']
    assert set(losses) == {'loss_focal', 'loss_dice'}
    focal, dice = 2 * expected['loss_ce'], 0.8 * expected['loss_decoder_dice']
    assert losses['loss_focal'].item() == pytest.approx(focal, rel=1e-6)
    assert losses['loss_dice'].item() == pytest.approx(dice, rel=1e-6)
    total = values['stage3_check']['total_weighted']
    assert sum(losses.values()).item() == pytest.approx(total, rel=1e-6)
