"""Values of masks at points given as fractions of width and height."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Pixels per point up to which masks are sampled as float maps, which is faster there.
DENSE = 32


def sample_maps(maps: Tensor, points: Tensor) -> Tensor:
    """Sample maps bilinearly (corners not aligned, zero outside).

    Args:
        maps: ``[B, C, h, w]``; B may be 0.
        points: ``(x, y)`` in [0, 1], shared by the C maps of an entry, ``[B, P, 2]``.

    Returns:
        ``[B, C, P]``.
    """
    grid = 2 * points.unsqueeze(1) - 1  # [B, 1, P, 2]
    return F.grid_sample(maps, grid, align_corners=False).squeeze(2)


def sample_masks(masks: Tensor, points: Tensor, rows: Tensor) -> Tensor:
    """Sample binary masks as :func:`sample_maps` would, without a float copy of them.

    Full-resolution masks in float32 take four times their memory for a few thousand
    points; here only the four neighbors of every point are read, unless masks are
    small.

    Args:
        masks: Bool, ``[m, H, W]``.
        points: ``(x, y)`` in [0, 1], ``[n, P, 2]``, or ``[1, P, 2]`` for all rows.
        rows: The mask that each row of the result samples, ``[n]``.

    Returns:
        Values in [0, 1], float32, ``[n, P]``.
    """
    height, width = masks.shape[-2:]
    if len(rows) and height * width <= DENSE * points.shape[1]:
        if len(points) == 1:
            return sample_maps(masks[None].to(points.dtype), points)[0][rows]
        return sample_maps(masks[rows][:, None].to(points.dtype), points)[:, 0]
    x = points[..., 0] * width - 0.5  # [n, P]
    y = points[..., 1] * height - 0.5
    left, top = x.floor(), y.floor()
    first = rows[:, None] * (height * width)
    values = x.new_zeros(len(rows), points.shape[1])
    for row in (top, top + 1):
        for column in (left, left + 1):
            weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = row.clamp(0, height - 1).long() * width
            index = first + index + column.clamp(0, width - 1).long()
            values += masks.take(index) * (weight * inside)
    return values


@torch.no_grad()
def draw_uncertain_points(
    mask_logits: Tensor,
    num_points: int,
    *,
    oversample_ratio: float,
    importance_ratio: float,
) -> Tensor:
    """Draw points for the mask losses, most of them where a mask is undecided.

    Args:
        mask_logits: ``[n, h, w]``.
        num_points: P, the number of points per mask.
        oversample_ratio: Uniform points looked at, as a multiple of P.
        importance_ratio: Share of P taken from these, smallest ``|logit|`` first. The
            rest is drawn anew, uniformly.

    Returns:
        ``(x, y)`` in [0, 1], ``[n, P, 2]``.

    Source: PointRend, as EOV-Seg's criterion (Mask2Former) uses it.
    """
    num_masks, device = len(mask_logits), mask_logits.device
    num_candidates = int(num_points * oversample_ratio)
    num_hard = int(num_points * importance_ratio)
    points = torch.rand(num_masks, num_candidates, 2, device=device)
    distance = sample_maps(mask_logits[:, None], points)[:, 0].abs()  # [n, 3P]
    hard = distance.topk(num_hard, dim=1, largest=False, sorted=False).indices
    points = points.gather(1, hard[..., None].expand(-1, -1, 2))
    if num_hard == num_points:
        return points
    uniform = torch.rand(num_masks, num_points - num_hard, 2, device=device)
    return torch.cat([points, uniform], 1)
