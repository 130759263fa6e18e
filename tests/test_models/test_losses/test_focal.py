import math

import pytest
import torch

from mmovseg.models.losses.focal import (
    check_focal,
    focal_cost,
    focal_entropy,
    focal_loss,
)


def slow_focal(logit, inside, alpha, gamma):
    p = 1 / (1 + math.exp(-logit))
    right, weight = (p, alpha) if inside else (1 - p, 1 - alpha)
    return -weight * (1 - right) ** gamma * math.log(right)


@pytest.mark.parametrize(('alpha', 'gamma'), [(0.25, 2.0), (0.9, 0.5), (0.5, 0.0)])
def test_loss_and_cost_equal_a_loop(seed, alpha, gamma):
    logits, masks = 3 * torch.randn(3, 10), torch.rand(2, 10) > 0.5
    expected = torch.tensor(
        [
            [
                sum(
                    slow_focal(x, t, alpha, gamma)
                    for x, t in zip(row.tolist(), mask.tolist(), strict=True)
                )
                / 10
                for mask in masks
            ]
            for row in logits
        ]
    )
    cost = focal_cost(logits, masks, alpha=alpha, gamma=gamma)
    torch.testing.assert_close(cost, expected)
    loss = focal_loss(logits[:2], masks, alpha=alpha, gamma=gamma)
    torch.testing.assert_close(loss, expected.diagonal())


def test_large_logits_cost_nothing_where_right_and_themselves_where_wrong():
    result = focal_entropy(torch.tensor([500.0, -500.0]), 2.0)
    assert result.tolist() == [0, 500]


@pytest.mark.parametrize('name', ['alpha', 'gamma'])
def test_numbers_out_of_range_are_refused(name):
    with pytest.raises(ValueError, match=rf'{name} must .* got -0.1'):
        check_focal(**dict(alpha=0.2, gamma=2.0) | {name: -0.1})
