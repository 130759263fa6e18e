"""What criteria with one target per query share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor

from ..structures import MaskTarget


def check_targets(targets: list[MaskTarget], predictions: Tensor) -> list[MaskTarget]:
    """Put the targets of a batch on the device of its predictions.

    Args:
        targets: The ground truth.
        predictions: Any output for the batch, ``[B, ...]``.

    Raises:
        ValueError: If there are not as many targets as images.
    """
    if len(targets) != len(predictions):
        raise ValueError(f'Got {len(targets)} targets for {len(predictions)} images.')
    device = predictions.device
    return [MaskTarget(*(part.to(device) for part in target)) for target in targets]


def count_masks(targets: list[MaskTarget], device: torch.device) -> Tensor:
    """Count the targets of the batch, averaged over processes, at least 1."""
    count = torch.tensor(float(sum(len(t.labels) for t in targets)), device=device)
    all_reduce(count, 'mean')
    return count.clamp(min=1)


def class_loss(
    class_logits: Tensor,
    targets: list[MaskTarget],
    pairs: list[tuple[Tensor, Tensor]],
    void_weight: float,
) -> Tensor:
    """Return the cross-entropy; a query without target should say void.

    Args:
        class_logits: ``[B, N, K + 1]``.
        targets: The ground truth.
        pairs: Matched queries and targets per image.
        void_weight: Weight of the queries without target.

    Returns:
        Weighted mean over all queries, a scalar.
    """
    class_logits = class_logits.float()
    void = class_logits.shape[-1] - 1
    labels = targets[0].labels.new_full(class_logits.shape[:2], void)  # [B, N]
    for row, target, (queries, matched) in zip(labels, targets, pairs, strict=True):
        row[queries] = target.labels[matched]
    weight = class_logits.new_ones(void + 1)
    weight[void] = void_weight
    return F.cross_entropy(class_logits.flatten(0, 1), labels.flatten(), weight)


def matched_masks(mask_logits: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Select the masks of matched queries, ordered by image, then by query.

    Args:
        mask_logits: ``[B, N, h, w]``.
        pairs: Matched queries and targets per image.

    Returns:
        float32, ``[n, h, w]``. Without any pair it is empty: its sum is 0 and still
        has a gradient.
    """
    matched_logits = [
        maps[queries] for maps, (queries, _) in zip(mask_logits, pairs, strict=True)
    ]
    return torch.cat(matched_logits).float()
