"""The best class of each pixel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .dispatch import takes_fast
from .first_argmax import first_argmax

BLOCK = 128  # classes that are tried first


class BestClass:
    """Finds the class with the largest sum of class score times mask.

    Args:
        scores: Of each class and query, ``[K, N]``.
        max_values: The fast form has the sums of all classes for so few pixels at a
            time that there are no more values than that.
    """

    def __init__(self, scores: Tensor, max_values: int = 2**21) -> None:
        self.scores = scores
        self.chunk = max(1, max_values // len(scores))
        self.blocks: tuple[_Block, _Block] | None = None
        # On a GPU looking for pixels left to decide would wait for it.
        if takes_fast(scores, on='cpu') and len(scores) > 2 * BLOCK:
            self.blocks = _blocks_of_classes(scores)

    def __call__(self, masks: Tensor) -> Tensor:
        """Find the class of pixels ``[N, p]``, the first of equal ones: ``[p]``."""
        if takes_fast(masks):
            parts = masks.split(self.chunk, 1)
            return torch.cat([self._label(part) for part in parts])
        return (self.scores @ masks).argmax(0)

    def _label(self, masks: Tensor) -> Tensor:
        if self.blocks is None:
            return first_argmax(self.scores @ masks)
        return _try_likely(*self.blocks, masks)


class _Block(NamedTuple):
    """Some classes in the order of their labels."""

    scores: Tensor  # [b, N]
    labels: Tensor  # [b]
    peaks: Tensor  # the largest score that a query gives one of them, [N]


def _blocks_of_classes(scores: Tensor) -> tuple[_Block, _Block]:
    """Part classes ``[K, N]`` into those with large probabilities and the others."""
    order = scores.amax(1).argsort(descending=True, stable=True)

    def block(labels: Tensor) -> _Block:
        labels = labels.sort().values
        return _Block(scores[labels], labels, scores[labels].amax(0))

    return block(order[:BLOCK]), block(order[BLOCK:])


def _try_likely(likely: _Block, other: _Block, masks: Tensor) -> Tensor:
    """Decide a pixel by the likely classes alone where that is enough.

    That is where they beat the sum over masks of the largest probability that any other
    class has there.
    """
    values = likely.scores @ masks  # [b, p]
    labels = likely.labels[first_argmax(values)]
    best = values.amax(0)
    bound = (other.peaks @ masks) * (1 + 1e-4)  # more than rounding adds
    # The pixels left to decide, with every NaN.
    left = (~(bound < best)).nonzero().flatten()
    best, before = best[left], labels[left]
    values = other.scores @ masks[:, left]
    found, values = other.labels[first_argmax(values)], values.amax(0)
    wins = (values > best) | ((values == best) & (found < before))
    labels[left] = torch.where(wins, found, before)
    return labels
