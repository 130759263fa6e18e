"""Multi-scale deformable attention: every query reads a few points of every level."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .dispatch import takes_fast

# Queries of one step of the fast form: its temporaries stay in the cache.
CHUNK = 2048


def ms_deform_attn(
    values: Tensor, sizes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """Sum bilinear samples of all levels with the weights of each query and head.

    Args:
        values: The flattened levels, one after the other, ``[B, L, heads, c]``.
        sizes: Height and width of each level.
        locations: Points (x, y) in [0, 1] of a level's width and height,
            ``[B, N, heads, levels, points, 2]``. What lies outside samples zeros.
        weights: Attention weights, ``[B, N, heads, levels, points]``.

    Returns:
        ``[B, N, heads * c]``.

    Source: Deformable DETR (arXiv 2010.04159), equation 3.
    """
    # float32 only: rows of half precision would be summed in half precision.
    fast = takes_fast(values, on='cpu', with_gradients=False)
    if fast and values.dtype == torch.float32:
        return _sum_rows(values, sizes, locations, weights)
    return plain_ms_deform_attn(values, sizes, locations, weights)


def plain_ms_deform_attn(
    values: Tensor, sizes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """Do what :func:`ms_deform_attn` does, with one ``grid_sample`` per level."""
    heads = values.shape[2]
    levels = values.split([height * width for height, width in sizes], 1)
    totals = []
    for index, (level, size) in enumerate(zip(levels, sizes, strict=True)):
        image = level.permute(0, 2, 3, 1).flatten(0, 1).unflatten(-1, size)
        grid = 2 * locations[:, :, :, index].transpose(1, 2).flatten(0, 1) - 1
        # [B * heads, c, N, points]
        samples = F.grid_sample(image, grid, align_corners=False)
        weight = weights[:, :, :, index].transpose(1, 2).flatten(0, 1).unsqueeze(1)
        totals.append((samples * weight).sum(-1))
    total = sum(totals[1:], totals[0])  # [B * heads, c, N]
    return total.unflatten(0, (-1, heads)).flatten(1, 2).transpose(1, 2)


def _sum_rows(
    values: Tensor, sizes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """Sum the four neighbors of all points as weighted rows of one table.

    No sample is ever in memory: ``embedding_bag`` reads each row and adds it.
    """
    batch, length, heads, channels = values.shape
    num_queries = locations.shape[1]
    host = torch.tensor(sizes)
    extent = host.flip(1).to(locations.dtype).unsqueeze(1)  # [levels, 1, (x, y)]
    steps = torch.stack([torch.ones_like(host[:, 1]), host[:, 1]], 1)
    steps = (
        (steps * heads).to(torch.int32).unsqueeze(1)
    )  # rows from a point to the next
    start = host.prod(1).cumsum(0) - host.prod(1)
    start = start[:, None] * heads + torch.arange(heads)[:, None, None]
    start = start.to(torch.int32)  # [heads, levels, 1]
    result = values.new_empty(batch, num_queries, heads * channels)
    for image in range(batch):
        table = values[image].reshape(length * heads, channels)
        for first in range(0, num_queries, CHUNK):
            part = slice(first, first + CHUNK)
            rows, factors = _neighbors(
                locations[image, part], weights[image, part], extent, steps, start
            )
            total = F.embedding_bag(
                rows.flatten(0, 1).flatten(1),
                table,
                per_sample_weights=factors.flatten(0, 1).flatten(1),
                mode='sum',
            )
            result[image, part] = total.unflatten(0, (-1, heads)).flatten(1)
    return result


def _neighbors(
    locations: Tensor, weights: Tensor, extent: Tensor, steps: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    """Return rows and factors of the four neighbors, ``[n, heads, levels, P, 4]``."""
    place = (locations * extent).sub_(0.5)
    low = place.floor()
    offset = place.sub_(low)
    rows, factors = [], []
    for corner, share in ((low, 1 - offset), (low + 1, offset)):
        inside = corner.clamp(min=0).minimum(extent - 1)
        factors.append((share * (inside == corner)).unbind(-1))
        rows.append((inside.to(torch.int32) * steps).unbind(-1))
    (x0, y0), (x1, y1) = rows
    (fx0, fy0), (fx1, fy1) = factors
    y0, y1, fy0, fy1 = y0 + start, y1 + start, fy0 * weights, fy1 * weights
    return (
        torch.stack([y0 + x0, y0 + x1, y1 + x0, y1 + x1], -1),
        torch.stack([fy0 * fx0, fy0 * fx1, fy1 * fx0, fy1 * fx1], -1),
    )
