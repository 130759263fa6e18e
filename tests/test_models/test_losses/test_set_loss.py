import math

import numpy as np
import pytest
import torch

from mmovseg.models.losses import set_loss
from mmovseg.models.losses.set_loss import (
    check_targets,
    class_loss,
    count_masks,
    matched_masks,
)
from mmovseg.models.structures import MaskTarget


def make_targets(*counts):
    return [
        MaskTarget(torch.randint(3, (count,)), torch.rand(count, 8, 8) > 0.5)
        for count in counts
    ]


def test_class_loss_by_hand():
    class_logits = torch.tensor([[[1.0, 0.0, 0.0, 2.0], [0.0, 3.0, 0.0, 1.0]]])
    [target] = make_targets(1)
    target = target._replace(labels=torch.tensor([1]))
    pairs = [(torch.tensor([1]), torch.tensor([0]))]
    matched = math.log(1 + math.exp(3) + 1 + math.e) - 3
    void = math.log(math.e + 1 + 1 + math.exp(2)) - 2
    expected = (matched + 0.1 * void) / 1.1
    result = class_loss(class_logits, [target], pairs, 0.1)
    assert result.item() == pytest.approx(expected, rel=1e-6)


def test_class_loss_of_the_reference(shared):
    golden = np.load(shared / 'golden' / 'eovseg_s.npz')
    tensor = {key: torch.from_numpy(golden[f'train/{key}']) for key in (
        's2/cls_logits', 'labels0', 'labels1', 'masks0', 'masks1',
        's2/match0', 's2/match1',
    )}  # fmt: skip
    targets = [MaskTarget(tensor[f'labels{b}'], tensor[f'masks{b}']) for b in range(2)]
    pairs = [tuple(tensor[f's2/match{b}']) for b in range(2)]
    result = 2 * class_loss(tensor['s2/cls_logits'], targets, pairs, 0.1)
    names = golden['train/loss_names'].tolist()
    expected = golden['train/losses'][names.index('s2_loss_ce')]
    assert result.item() == pytest.approx(expected, rel=1e-5)


def test_at_least_one_mask_is_counted(monkeypatch):
    assert count_masks(make_targets(0, 0), torch.device('cpu')).item() == 1
    assert count_masks(make_targets(3, 2), torch.device('cpu')).item() == 5
    # One target on one of four processes: the average is below 1.
    monkeypatch.setattr(set_loss, 'all_reduce', lambda count, op: count.div_(4))
    assert count_masks(make_targets(1, 0), torch.device('cpu')).item() == 1


@pytest.mark.parametrize('count', [1, 3])
def test_there_is_one_target_per_image(count):
    with pytest.raises(ValueError, match=f'{count} targets for 2 images'):
        check_targets(make_targets(*[1] * count), torch.zeros(2, 5))


def test_matched_masks_are_ordered_by_image_and_query():
    mask_logits = torch.arange(6.0).view(2, 3, 1, 1)
    pairs = [
        (torch.tensor([0, 2]), torch.tensor([1, 0])),
        (torch.tensor([1]), torch.tensor([0])),
    ]
    chosen = matched_masks(mask_logits.half(), pairs)
    assert chosen.dtype == torch.float32
    assert chosen.flatten().tolist() == [0, 2, 4]
