"""Sigmoid focal loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def focal_entropy(logits: Tensor, gamma: float) -> Tensor:
    """Return the focal loss of logits whose answer is yes, elementwise.

    That of the answer no is the same of the negated logits. Exact for large logits.

    Args:
        logits: Of any shape.
        gamma: Exponent of the probability of a wrong answer, not negative.

    Source: Focal loss (arXiv 1708.02002), equation 4.
    """
    return (-logits).sigmoid() ** gamma * F.softplus(-logits)


def focal_loss(logits: Tensor, masks: Tensor, *, alpha: float, gamma: float) -> Tensor:
    """Compare mask logits with binary masks.

    Args:
        logits: ``[n, P]``.
        masks: bool, ``[n, P]``.
        alpha: Weight of positions inside the mask; those outside have ``1 - alpha``.
        gamma: See :func:`focal_entropy`.

    Returns:
        The mean over positions, ``[n]``.
    """
    entropy = focal_entropy(torch.where(masks, logits, -logits), gamma)
    return (entropy * torch.where(masks, alpha, 1 - alpha)).mean(1)


def focal_cost(logits: Tensor, masks: Tensor, *, alpha: float, gamma: float) -> Tensor:
    """Compare every query with every target by :func:`focal_loss`.

    Args:
        logits: ``[N, P]``.
        masks: bool, ``[n, P]``.
        alpha: See :func:`focal_loss`.
        gamma: See :func:`focal_entropy`.

    Returns:
        ``[N, n]``.
    """
    # As products: the pairwise tensor would have N * n * P elements.
    inside = masks.to(logits.dtype)
    cost = alpha * focal_entropy(logits, gamma) @ inside.T
    cost = cost + (1 - alpha) * focal_entropy(-logits, gamma) @ (1 - inside).T
    return cost / logits.shape[1]


def check_focal(alpha: float, gamma: float) -> None:
    """Raise a ValueError if a number of the focal loss is out of range."""
    if not 0 <= alpha <= 1:
        raise ValueError(f'alpha must be in [0, 1], got {alpha}.')
    if gamma < 0:
        raise ValueError(f'gamma must not be negative, got {gamma}.')
