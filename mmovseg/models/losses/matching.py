"""Hungarian matching of queries and targets."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

# Stands for a cost that is not finite. Far above real costs, yet small enough that the
# solver, which adds and subtracts costs, still tells these apart.
UNUSABLE = 1e6


def dice_loss(overlap: Tensor, total: Tensor) -> Tensor:
    """Return one minus the dice coefficient, smoothed by one.

    Args:
        overlap: Sum of the products of two masks, of any shape.
        total: Sum of the one mask plus sum of the other, of the same shape.
    """
    return 1 - (2 * overlap + 1) / (total + 1)


def matching_cost(
    class_logits: Tensor,
    point_logits: Tensor,
    labels: Tensor,
    point_targets: Tensor,
    weights: tuple[float, float, float],
) -> Tensor:
    """Compare every query of an image with every target.

    Args:
        class_logits: ``[N, K + 1]``.
        point_logits: Mask logits at P points, ``[N, P]``.
        labels: Classes of the targets, ``[n]``.
        point_targets: Target masks at the same points, in [0, 1], ``[n, P]``.
        weights: Factors of class probability, binary cross-entropy and dice.

    Returns:
        The cost, ``[N, n]``; lower is better.
    """
    class_weight, mask_weight, dice_weight = weights
    probability = class_logits.softmax(-1)[:, labels]
    # As products: the pairwise tensor would have N * n * P elements.
    entropy = F.softplus(-point_logits) @ point_targets.T
    entropy = entropy + F.softplus(point_logits) @ (1 - point_targets).T
    masks = point_logits.sigmoid()
    dice = dice_loss(
        masks @ point_targets.T, masks.sum(1, keepdim=True) + point_targets.sum(1)
    )
    mean_entropy = entropy / point_logits.shape[1]
    return mask_weight * mean_entropy + dice_weight * dice - class_weight * probability


def assign(costs: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Solve the assignment of every image, with one transfer to the CPU and one back.

    Args:
        costs: Cost per image, ``[N, n]``; N is the same everywhere, n may be 0 and may
            exceed N. NaN and infinite entries are taken last.

    Returns:
        Per image the matched queries, ascending, and their targets, int64,
        ``[min(N, n)]`` each, on the device of the costs.
    """
    joined = torch.cat(costs, 1)
    device = joined.device
    joined = joined.nan_to_num(nan=UNUSABLE, posinf=UNUSABLE, neginf=UNUSABLE).cpu()
    pairs = []
    for cost in joined.split([cost.shape[1] for cost in costs], 1):
        pairs.append(np.stack(linear_sum_assignment(cost.numpy())))  # [2, pairs]
    sizes = [pair.shape[1] for pair in pairs]
    solved = torch.from_numpy(np.concatenate(pairs, 1)).to(device)
    return [tuple(pair) for pair in solved.split(sizes, 1)]
