import itertools
import math

import pytest
import torch
from mmengine.registry import MODELS as ROOT

from mmovseg.models.losses import MaskSetLoss, mask_set_loss, set_loss
from mmovseg.models.structures import MaskPrediction, MaskTarget

NUM_CLASSES = 3


@pytest.fixture
def criterion():
    return MaskSetLoss(num_points=64)


def make_prediction(batch, queries=6, size=8):
    return MaskPrediction(
        torch.randn(batch, queries, NUM_CLASSES + 1, requires_grad=True),
        (3 * torch.randn(batch, queries, size, size)).requires_grad_(),
    )


def make_targets(*counts, size=32):
    return [
        MaskTarget(
            torch.randint(NUM_CLASSES, (count,)),
            torch.rand(count, size, size) > 0.5,
        )
        for count in counts
    ]


def blocks(*corners, size=32):
    """Draw one mask per quadrant (row, column) of the image."""
    masks = torch.zeros(len(corners), size, size, dtype=torch.bool)
    half = size // 2
    for mask, (row, column) in zip(masks, corners, strict=True):
        mask[row * half :, column * half :][:half, :half] = True
    return masks


def perfect_prediction(targets, queries=4, scale=200.0):
    """Answer targets by the first queries, the others say void and nothing."""
    class_logits = torch.zeros(len(targets), queries, NUM_CLASSES + 1)
    class_logits[..., -1] = scale
    mask_logits = torch.full((len(targets), queries, 32, 32), -scale)
    for b, (labels, masks) in enumerate(targets):
        for n, (label, mask) in enumerate(zip(labels, masks, strict=True)):
            class_logits[b, n] = 0
            class_logits[b, n, label] = scale
            mask_logits[b, n, mask] = scale
    return MaskPrediction(class_logits, mask_logits)


def test_registered_and_built_from_numbers():
    loss = ROOT.build(dict(type='mmovseg.MaskSetLoss', num_points=5, void_weight=0.2))
    assert (loss.num_points, loss.void_weight, loss.class_weight) == (5, 0.2, 2.0)


def test_perfect_prediction_costs_next_to_nothing(seed, criterion):
    targets = [
        MaskTarget(torch.tensor([2, 0]), blocks((0, 0), (1, 1))),
        MaskTarget(torch.tensor([1]), blocks((0, 1))),
    ]
    losses = criterion([perfect_prediction(targets)], targets)
    assert losses['s0_loss_ce'].item() == pytest.approx(0, abs=1e-5)
    # Points between a border's pixels keep a logit and a target that are not binary.
    worse = perfect_prediction(targets)
    worse = worse._replace(mask_logits=-worse.mask_logits)
    inverted = criterion([worse], targets)
    assert losses['s0_loss_dice'] < 0.3 * inverted['s0_loss_dice']
    assert losses['s0_loss_mask'] < 0.3 * inverted['s0_loss_mask']


def test_mask_losses_equal_a_loop(seed, criterion, monkeypatch):
    drawn = []
    draw = mask_set_loss.draw_uncertain_points

    def record(*args, **kwargs):
        drawn.append(draw(*args, **kwargs))
        return drawn[-1]

    monkeypatch.setattr(mask_set_loss, 'draw_uncertain_points', record)
    mask_logits = make_prediction(2).mask_logits
    targets = make_targets(3, 2)
    pairs = [
        (torch.tensor([0, 4]), torch.tensor([2, 0])),
        (torch.tensor([5]), torch.tensor([1])),
    ]
    bce, dice = criterion.mask_losses(mask_logits, targets, pairs)

    expected_bce = expected_dice = 0.0
    flat = [(b, *pair) for b in range(2) for pair in zip(*pairs[b], strict=True)]
    for (b, query, row), points in zip(flat, drawn[0], strict=True):
        grid = 2 * points[None, None] - 1
        x, t = (
            torch.nn.functional.grid_sample(m[None, None], grid, align_corners=False)
            for m in (mask_logits[b, query], targets[b].masks[row].float())
        )
        p = x.sigmoid()
        expected_bce += -(t * p.log() + (1 - t) * (1 - p).log()).mean()
        expected_dice += 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
    torch.testing.assert_close(bce, expected_bce, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(dice, expected_dice, rtol=1e-4, atol=1e-5)


def test_order_of_random_draws(seed, monkeypatch):
    drawn = []
    rand = torch.rand

    def record(*size, **kwargs):
        drawn.append(size)
        return rand(*size, **kwargs)

    criterion = MaskSetLoss()
    stages = [make_prediction(3) for _ in range(2)]
    targets = make_targets(3, 0, 2)
    monkeypatch.setattr(torch, 'rand', record)
    criterion(stages, targets)
    stage = [(1, 12544, 2)] * 3 + [(5, 37632, 2), (5, 3136, 2)]
    assert drawn == stage * 2


def test_every_stage_is_weighted_and_named(seed):
    stages, targets = [make_prediction(2) for _ in range(2)], make_targets(1, 2)

    def run(stages, **weights):
        torch.manual_seed(1)
        loss = MaskSetLoss(num_points=64, **weights)
        # The weights also steer the matching, which is not what this test is about.
        loss.match = lambda prediction, targets: [
            (torch.arange(len(t.labels)), torch.arange(len(t.labels))) for t in targets
        ]
        return loss(stages, targets)

    plain = run(stages, class_weight=1.0, mask_weight=1.0, dice_weight=1.0)
    names = [f's{i}_loss_{name}' for i in range(2) for name in ('ce', 'mask', 'dice')]
    assert list(plain) == names
    weighted = run(stages, class_weight=2.0, mask_weight=3.0, dice_weight=7.0)
    for name, factor in zip(names, itertools.cycle((2, 3, 7))):
        torch.testing.assert_close(weighted[name], factor * plain[name])
    alone = run(stages[:1], class_weight=2.0, mask_weight=3.0, dice_weight=7.0)
    assert all(torch.equal(alone[name], weighted[name]) for name in names[:3])


def test_permuted_queries_change_nothing(seed, criterion):
    prediction, targets = make_prediction(2), make_targets(2, 4)
    order = torch.randperm(6)
    permuted = MaskPrediction(*(part[:, order] for part in prediction[:2]))
    torch.manual_seed(3)
    pairs = criterion.match(prediction, targets)
    torch.manual_seed(3)
    moved = criterion.match(permuted, targets)
    for (queries, rows), (moved_queries, moved_rows) in zip(pairs, moved, strict=True):
        moved_queries, index = order[moved_queries].sort()
        assert torch.equal(moved_queries, queries)
        assert torch.equal(moved_rows[index], rows)


def test_matching_finds_the_right_query(seed, criterion):
    targets = [MaskTarget(torch.tensor([2, 0]), blocks((0, 0), (1, 1)))]
    prediction = perfect_prediction(targets)
    order = torch.tensor([3, 1, 2, 0])  # the answers are now queries 3 and 1
    prediction = MaskPrediction(*(part[:, order] for part in prediction[:2]))
    [(queries, rows)] = criterion.match(prediction, targets)
    assert (queries.tolist(), rows.tolist()) == ([1, 3], [1, 0])


def test_masks_are_normalized_by_targets_of_all_processes(seed, monkeypatch):
    prediction, targets = make_prediction(2), make_targets(1, 2)

    def run(other):
        def all_reduce(count, op):
            assert op == 'mean'
            count.copy_((count + other) / 2)

        monkeypatch.setattr(set_loss, 'all_reduce', all_reduce)
        torch.manual_seed(1)
        return MaskSetLoss(num_points=64)([prediction], targets)

    same, more = run(other=3), run(other=9)  # averages 3 and 6
    for name in ('s0_loss_mask', 's0_loss_dice'):
        torch.testing.assert_close(same[name], 2 * more[name])
    assert torch.equal(same['s0_loss_ce'], more['s0_loss_ce'])


@pytest.mark.parametrize('counts', [(0, 0), (2, 0), (0, 1), (1, 9)])
def test_any_number_of_targets_trains(seed, criterion, counts):
    """Also none at all, and more than queries."""
    stages = [make_prediction(2) for _ in range(2)]
    losses = criterion(stages, make_targets(*counts))
    assert all(torch.isfinite(loss) and loss.requires_grad for loss in losses.values())
    sum(losses.values()).backward()
    for class_logits, mask_logits, *_ in stages:
        assert class_logits.grad.isfinite().all() and class_logits.grad.any()
        # Zero, but there: a missing gradient would stall the other processes.
        assert mask_logits.grad.isfinite().all()
        assert mask_logits.grad.any() == (sum(counts) > 0)
    if not sum(counts):
        assert losses['s0_loss_mask'] == losses['s0_loss_dice'] == 0


def test_an_empty_mask_is_a_target_like_others(seed, criterion):
    prediction = make_prediction(1)
    targets = [MaskTarget(torch.tensor([1]), torch.zeros(1, 32, 32, dtype=torch.bool))]
    losses = criterion([prediction], targets)
    assert losses['s0_loss_dice'] > 0
    assert all(torch.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_gradients_are_finite_under_autocast(seed, criterion, dtype):
    stages, targets = [make_prediction(2)], make_targets(2, 0)
    half = [MaskPrediction(*(part.to(dtype) for part in stage[:2])) for stage in stages]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = criterion(half, targets)
        assert all(loss.dtype == torch.float32 for loss in losses.values())
    sum(losses.values()).backward()
    for part in stages[0][:2]:
        assert part.grad.isfinite().all() and part.grad.any()


def test_autocast_changes_no_number(seed, criterion):
    stages, targets = [make_prediction(2)], make_targets(2, 3)
    torch.manual_seed(1)
    plain = criterion(stages, targets)
    torch.manual_seed(1)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = criterion(stages, targets)
    assert all(torch.equal(mixed[name], plain[name]) for name in plain)


def test_overflow_reaches_the_loss_and_not_the_matcher(seed, criterion):
    """A gradient scaler skips a step whose loss is not finite; it needs that loss."""
    class_logits, mask_logits, *_ = make_prediction(1)
    broken = mask_logits.detach().clone()
    broken[0, 2] = math.inf
    targets = make_targets(2)
    [(queries, _)] = criterion.match(MaskPrediction(class_logits, broken), targets)
    assert 2 not in queries.tolist()
    broken[:] = math.nan
    losses = criterion([MaskPrediction(class_logits, broken)], targets)
    assert losses['s0_loss_mask'].isnan()


def test_gradient_descent_learns_the_targets(seed):
    criterion = MaskSetLoss(num_points=128)
    targets = [MaskTarget(torch.tensor([2, 0]), blocks((0, 0), (1, 1)))]
    prediction = make_prediction(1)
    optimizer = torch.optim.Adam(prediction[:2], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        sum(criterion([prediction], targets).values()).backward()
        optimizer.step()
    [(queries, rows)] = criterion.match(prediction, targets)
    labels = prediction.class_logits[0].argmax(-1)
    assert labels[queries].tolist() == targets[0].labels[rows].tolist()
    assert (labels == NUM_CLASSES).sum() == 4
    small = targets[0].masks[:, ::4, ::4]
    agreement = (prediction.mask_logits[0, queries] > 0) == small[rows]
    assert agreement.float().mean() > 0.95


def test_targets_must_fit_the_batch(criterion):
    with pytest.raises(ValueError, match='1 targets for 2 images'):
        criterion([make_prediction(2)], make_targets(1))


@pytest.mark.parametrize(
    'numbers',
    [
        dict(void_weight=0),
        dict(num_points=0),
        dict(oversample_ratio=0.5),
        dict(importance_ratio=1.5),
    ],
)
def test_numbers_out_of_range_are_refused(numbers):
    [name] = numbers
    with pytest.raises(ValueError, match=name):
        MaskSetLoss(**numbers)
