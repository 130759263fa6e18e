import math

import pytest
import torch
from mmengine.registry import MODELS as ROOT

from mmovseg.models.losses import ProposalLoss, matching, proposal_loss, set_loss
from mmovseg.models.structures import MaskPrediction, MaskTarget


def make_prediction(batch, queries=6, size=8):
    return MaskPrediction(
        torch.randn(batch, queries, 4, requires_grad=True),
        (3 * torch.randn(batch, queries, size, size)).requires_grad_(),
    )


def make_targets(*counts, size=32):
    return [
        MaskTarget(torch.randint(3, (count,)), torch.rand(count, size, size) > 0.5)
        for count in counts
    ]


def test_built_from_numbers():
    loss = ROOT.build(dict(type='mmovseg.ProposalLoss', gamma=1.0, dice_weight=3.0))
    assert (loss.mask_weight, loss.dice_weight) == (20.0, 3.0)
    assert (loss.class_weight, loss.focal) == (0.0, dict(alpha=0.25, gamma=1.0))


def test_losses_by_hand():
    """One pixel of four is the target; the logits have the size of the labels."""
    masks = torch.tensor([[[True, False], [False, False]]])
    logits = torch.tensor([[1.0, -1.0], [-1.0, 3.0]]).view(1, 1, 2, 2)
    prediction = MaskPrediction(torch.tensor([[[1.0, 0.0, 0.0]]]), logits)
    loss = ProposalLoss(2.0, 3.0, class_weight=0.5)
    losses = loss([prediction], [MaskTarget(torch.tensor([1]), masks)])
    p, q = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-3))
    inside = -0.25 * (1 - p) ** 2 * math.log(p)
    outside = -0.75 * (2 * (1 - p) ** 2 * math.log(p) + q**2 * math.log(1 - q))
    area = p + 2 * (1 - p) + q
    assert losses['s0_loss_mask'].item() == pytest.approx(2 * (inside + outside) / 4)
    expected = 3 * (1 - (2 * p + 1) / (area + 1 + 1))
    assert losses['s0_loss_dice'].item() == pytest.approx(expected)
    expected = 0.5 * (math.log(math.e + 2) - 0)
    assert losses['s0_loss_ce'].item() == pytest.approx(expected)


def test_classes_count_only_if_asked_and_never_in_the_matching(seed):
    stages, targets = [make_prediction(2) for _ in range(2)], make_targets(1, 2)
    plain = ProposalLoss()(stages, targets)
    assert set(plain) == {f's{i}_loss_{n}' for i in (0, 1) for n in ('mask', 'dice')}
    full = ProposalLoss(class_weight=1e4)(stages, targets)
    assert all(torch.equal(full[name], plain[name]) for name in plain)
    assert set(full) - set(plain) == {'s0_loss_ce', 's1_loss_ce'}


def test_matching_finds_the_right_query(seed):
    masks = torch.zeros(2, 16, 16, dtype=torch.bool)
    masks[0, :8, :8] = masks[1, 8:, 4:] = True
    mask_logits = torch.full((1, 4, 4, 4), -5.0)
    mask_logits[0, 3] = 10 * masks[0, ::4, ::4].float() - 5
    mask_logits[0, 1] = 10 * masks[1, ::4, ::4].float() - 5
    target = MaskTarget(torch.tensor([0, 1]), masks)
    [(queries, rows)] = ProposalLoss().match(mask_logits, [target])
    assert (queries.tolist(), rows.tolist()) == ([1, 3], [1, 0])


@pytest.mark.parametrize('mixed', [False, True])
def test_the_cost_of_a_pair_is_its_loss(seed, monkeypatch, mixed):
    """Where logits have the size of the labels, also under autocast."""
    kept = []

    def assign(costs):
        kept.extend(costs)
        return matching.assign(costs)

    monkeypatch.setattr(proposal_loss, 'assign', assign)
    prediction, targets = make_prediction(1, size=16), make_targets(4, size=16)
    criterion = ProposalLoss(3.0, 5.0)
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=mixed):
        losses = criterion([prediction], targets)
    [(queries, rows)] = matching.assign(kept)
    assert rows.tolist() != sorted(rows.tolist())
    expected = kept[0][queries, rows].sum() / 4
    torch.testing.assert_close(sum(losses.values()), expected, rtol=1e-5, atol=0)


def test_targets_are_reduced_by_taking_pixels_not_means():
    """Only the pixels (0, 0), (0, 2), ... count: here all of one mask."""
    masks = torch.ones(2, 8, 8, dtype=torch.bool)
    masks[0] = False
    masks[0, ::2, ::2] = True
    masks[1, ::2, ::2] = False
    mask_logits = torch.stack([torch.full((4, 4), -9.0), torch.full((4, 4), 9.0)])
    target = MaskTarget(torch.tensor([0, 1]), masks)
    [(queries, rows)] = ProposalLoss().match(mask_logits[None], [target])
    assert (queries.tolist(), rows.tolist()) == ([0, 1], [1, 0])


def test_masks_are_normalized_by_targets_of_all_processes(seed, monkeypatch):
    prediction, targets = make_prediction(2), make_targets(1, 2)
    alone = ProposalLoss(class_weight=1.0)([prediction], targets)

    def all_reduce(count, op):
        assert op == 'mean'
        count.copy_((count + 9) / 2)  # 3 here, 9 there

    monkeypatch.setattr(set_loss, 'all_reduce', all_reduce)
    two = ProposalLoss(class_weight=1.0)([prediction], targets)
    for name in ('s0_loss_mask', 's0_loss_dice'):
        torch.testing.assert_close(alone[name], 2 * two[name])
    assert torch.equal(alone['s0_loss_ce'], two['s0_loss_ce'])


@pytest.mark.parametrize('counts', [(0, 0), (2, 0), (0, 1), (1, 9)])
def test_any_number_of_targets_trains(seed, counts):
    stages = [make_prediction(2) for _ in range(2)]
    losses = ProposalLoss(class_weight=1.0)(stages, make_targets(*counts))
    assert all(torch.isfinite(loss) and loss.requires_grad for loss in losses.values())
    sum(losses.values()).backward()
    for stage in stages:
        assert stage.class_logits.grad.isfinite().all()
        # Zero, but there: a missing gradient would stall the other processes.
        assert stage.mask_logits.grad.isfinite().all()
        assert stage.mask_logits.grad.any() == (sum(counts) > 0)


def test_autocast_and_half_precision_give_float32(seed):
    stages, targets = [make_prediction(2)], make_targets(2, 3)
    criterion = ProposalLoss(class_weight=1.0)
    plain = criterion(stages, targets)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = criterion(stages, targets)
    assert all(torch.equal(mixed[name], plain[name]) for name in plain)
    half = [MaskPrediction(*(part.half() for part in stages[0][:2]))]
    for loss in criterion(half, targets).values():
        assert loss.dtype == torch.float32 and loss.isfinite()


@pytest.mark.parametrize(
    ('numbers', 'message'),
    [
        (dict(void_weight=0), 'void_weight must be above 0, got 0'),
        (dict(alpha=1.5), r'alpha must be in \[0, 1\], got 1.5'),
        (dict(gamma=-1), 'gamma must not be negative, got -1'),
    ],
)
def test_numbers_out_of_range_are_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        ProposalLoss(**numbers)


def test_targets_must_fit_the_batch():
    with pytest.raises(ValueError, match='1 targets for 2 images'):
        ProposalLoss()([make_prediction(2)], make_targets(1))
