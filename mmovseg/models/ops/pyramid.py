"""Whether maps form a pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from .dispatch import in_graph


def is_pyramid(maps: Sequence[Tensor], channels: tuple[int, ...]) -> bool:
    """Whether maps have these channels and each is half as large as the one before.

    Sizes count as right inside a graph, which was traced from a call that was checked.

    Example:
        >>> import torch
        >>> maps = [torch.rand(1, 8, 6, 4), torch.rand(1, 16, 3, 2)]
        >>> is_pyramid(maps, (8, 16)), is_pyramid(maps[::-1], (16, 8))
        (True, False)
    """
    if tuple(x.shape[1] for x in maps) != channels:
        return False
    return in_graph() or all(
        fine.shape[i] == 2 * coarse.shape[i]
        for fine, coarse in pairwise(maps)
        for i in (-2, -1)
    )
