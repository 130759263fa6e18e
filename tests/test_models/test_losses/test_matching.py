import itertools
import math

import numpy as np
import pytest
import torch

from mmovseg.models.losses.matching import assign, dice_loss, matching_cost

WEIGHTS = (2.0, 5.0, 3.0)


def slow_cost(class_logits, point_logits, labels, point_targets):
    """Return the cost by its definition, one number at a time."""
    cost = torch.zeros(len(class_logits), len(labels))
    for q, n in itertools.product(range(len(class_logits)), range(len(labels))):
        exp = [math.exp(x) for x in class_logits[q].tolist()]
        probability = exp[labels[n]] / sum(exp)
        bce = overlap = total = 0.0
        for x, t in zip(
            point_logits[q].tolist(), point_targets[n].tolist(), strict=True
        ):
            p = 1 / (1 + math.exp(-x))
            bce -= t * math.log(p) + (1 - t) * math.log(1 - p)
            overlap += p * t
            total += p + t
        dice = 1 - (2 * overlap + 1) / (total + 1)
        bce /= point_logits.shape[1]
        cost[q, n] = -WEIGHTS[0] * probability + WEIGHTS[1] * bce + WEIGHTS[2] * dice
    return cost


def test_cost_equals_a_loop(seed):
    args = (
        torch.randn(5, 4),
        3 * torch.randn(5, 20),
        torch.tensor([2, 0, 2]),
        torch.rand(3, 20),
    )
    torch.testing.assert_close(matching_cost(*args, WEIGHTS), slow_cost(*args))


def test_cost_by_hand():
    # Probabilities 1/2; a mask of p = 1/2 at two points, the target has one of them:
    # entropy ln 2, dice 1 - (2 * 0.5 + 1) / (1 + 1 + 1).
    cost = matching_cost(
        torch.zeros(1, 2),
        torch.zeros(1, 2),
        torch.tensor([0]),
        torch.tensor([[1.0, 0.0]]),
        WEIGHTS,
    )
    assert cost.item() == pytest.approx(-2 * 0.5 + 5 * math.log(2) + 3 / 3)


def test_dice_of_equal_empty_and_disjoint_masks():
    overlap = torch.tensor([4.0, 0.0, 0.0])
    total = torch.tensor([8.0, 0.0, 9.0])
    expected = torch.tensor([0.0, 0.0, 0.9])
    torch.testing.assert_close(dice_loss(overlap, total), expected)


def test_large_logits_cost_nothing_where_right_and_much_where_wrong():
    logits = torch.tensor([[500.0, -500.0]])
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    cost = matching_cost(
        torch.zeros(1, 2), logits, torch.tensor([0, 0]), targets, (0.0, 1.0, 0.0)
    )
    torch.testing.assert_close(cost, torch.tensor([[0.0, 500.0]]))


@pytest.mark.parametrize('shape', [(5, 3), (3, 5), (4, 4)])
def test_assignment_is_the_best_of_all(seed, shape):
    cost = torch.randn(shape)
    [(queries, targets)] = assign([cost])
    small, large = sorted(shape)
    assert queries.tolist() == sorted(queries.tolist()) and len(queries) == small
    table = cost if shape[0] == large else cost.T
    best = min(
        sum(table[row, column].item() for column, row in enumerate(rows))
        for rows in itertools.permutations(range(large), small)
    )
    assert cost[queries, targets].sum().item() == pytest.approx(best)


def test_permuted_queries_permute_the_assignment(seed):
    cost, order = torch.randn(7, 4), torch.randperm(7)
    [(queries, targets)] = assign([cost])
    [(moved, moved_targets)] = assign([cost[order]])
    assert dict(
        zip(order[moved].tolist(), moved_targets.tolist(), strict=True)
    ) == dict(zip(queries.tolist(), targets.tolist(), strict=True))


def test_a_batch_equals_its_images_also_without_targets(seed):
    costs = [torch.randn(6, n) for n in (2, 0, 8, 1)]
    together = assign(costs)
    assert [len(queries) for queries, _ in together] == [2, 0, 6, 1]
    for cost, (queries, targets) in zip(costs, together, strict=True):
        [(alone, alone_targets)] = assign([cost])
        assert torch.equal(queries, alone) and torch.equal(targets, alone_targets)
        assert queries.dtype == targets.dtype == torch.int64


def test_queries_without_a_finite_cost_are_taken_last():
    nan, inf = math.nan, math.inf
    cost = torch.tensor([[nan, nan], [-inf, inf], [0.2, 0.1], [0.1, 0.3]])
    [(queries, targets)] = assign([cost])
    assert (queries.tolist(), targets.tolist()) == ([2, 3], [1, 0])
    [(queries, _)] = assign([torch.full((3, 2), nan)])
    assert len(queries) == 2


@pytest.mark.parametrize('stage', range(3))
def test_assignments_of_the_reference(shared, stage):
    golden = np.load(shared / 'golden' / 'eovseg_s.npz')
    prefix = f'train/s{stage}'
    pairs = assign([torch.from_numpy(golden[f'{prefix}/cost{b}']) for b in range(2)])
    for b, pair in enumerate(pairs):
        assert torch.stack(pair).tolist() == golden[f'{prefix}/match{b}'].tolist()
