"""The criterion of all mask classification models."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmovseg.registry import MODELS

from ..ops import without_autocast
from ..structures import MaskPrediction, MaskTarget
from .criterion import Criterion
from .matching import assign, dice_loss, matching_cost
from .point_sampling import draw_uncertain_points, sample_maps, sample_masks
from .set_loss import check_targets, class_loss, count_masks, matched_masks


@MODELS.register_module()
class MaskSetLoss(Criterion):
    """Match queries with targets, then compare classes, and masks at points.

    The weights of the losses are those of the matching. Everything is computed in
    float32, also under autocast. The number of classes is read from the logits.

    Random draws, all by ``torch.rand`` on the device of the logits, per stage: the
    points of the matcher ``[1, P, 2]`` for each image, also one without targets; then
    ``[n, oversample_ratio * P, 2]`` and ``[n, (1 - importance_ratio) * P, 2]`` for the
    n matched pairs of the batch, ordered by image, then by query.

    Args:
        class_weight: Factor of the cross-entropy over classes and void.
        mask_weight: Factor of the binary cross-entropy of the masks.
        dice_weight: Factor of the dice loss.
        void_weight: Weight of unmatched queries in the cross-entropy, above 0.
        num_points: P, points per mask.
        oversample_ratio: Uniform points looked at for the mask losses, per P.
        importance_ratio: Share of P with the most uncertain of them, in [0, 1].
        last_first: Draw the points of the last stage first, as Mask2Former's and
            FC-CLIP's code does. It changes random numbers only.
        init_cfg: MMEngine's initialization config.

    Raises:
        ValueError: If a number is outside its range.

    Source: EOV-Seg's code, the criterion of Mask2Former (arXiv 2112.01527).
    """

    def __init__(
        self,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        *,
        dice_weight: float = 5.0,
        void_weight: float = 0.1,
        num_points: int = 12544,
        oversample_ratio: float = 3.0,
        importance_ratio: float = 0.75,
        last_first: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        # With 0 a batch without targets would divide 0 by 0.
        if void_weight <= 0:
            raise ValueError(f'void_weight must be above 0, got {void_weight}.')
        if num_points < 1:
            raise ValueError(f'num_points must be at least 1, got {num_points}.')
        if not 0 <= importance_ratio <= 1:
            raise ValueError(
                f'importance_ratio must be in [0, 1], got {importance_ratio}.'
            )
        if oversample_ratio < 1:
            raise ValueError(
                f'oversample_ratio must be at least 1, got {oversample_ratio}.'
            )
        self.last_first = last_first
        self.class_weight = class_weight
        self.mask_weight = mask_weight
        self.dice_weight = dice_weight
        self.void_weight = void_weight
        self.num_points = num_points
        self.oversample_ratio = oversample_ratio
        self.importance_ratio = importance_ratio

    def forward(
        self, stages: list[MaskPrediction], targets: list[MaskTarget]
    ) -> dict[str, Tensor]:
        """Compute the losses of every stage.

        Args:
            stages: Predictions of B images, one per supervised stage.
            targets: The ground truth of the B images.

        Returns:
            ``s0_loss_ce``, ``s0_loss_mask``, ``s0_loss_dice``, ``s1_...``: scalars,
            weights applied. Each depends on the predictions, also without targets.

        Raises:
            ValueError: If there are not as many targets as images.
        """
        logits = stages[0].class_logits
        targets = check_targets(targets, logits)
        num_masks = count_masks(targets, logits.device)
        losses = {}
        # Half precision loses points near mask borders and overflows in the sums.
        with without_autocast(logits.device):
            indexed = list(enumerate(stages))
            if self.last_first:
                indexed = indexed[-1:] + indexed[:-1]
            for index, stage in indexed:
                pairs = self.match(stage, targets)
                mask, dice = self.mask_losses(stage.mask_logits, targets, pairs)
                ce = class_loss(stage.class_logits, targets, pairs, self.void_weight)
                losses[f's{index}_loss_ce'] = self.class_weight * ce
                losses[f's{index}_loss_mask'] = self.mask_weight * mask / num_masks
                losses[f's{index}_loss_dice'] = self.dice_weight * dice / num_masks
        return losses

    @torch.no_grad()
    def match(
        self, prediction: MaskPrediction, targets: list[MaskTarget]
    ) -> list[tuple[Tensor, Tensor]]:
        """Assign targets to queries.

        Args:
            prediction: One stage.
            targets: The ground truth.

        Returns:
            Per image the matched queries, ascending, and their targets.
        """
        weights = (self.class_weight, self.mask_weight, self.dice_weight)
        costs = []
        for class_logits, mask_logits, target in zip(
            prediction.class_logits, prediction.mask_logits, targets, strict=True
        ):
            points = torch.rand(1, self.num_points, 2, device=mask_logits.device)
            point_logits = sample_maps(mask_logits[None].float(), points)[0]  # [N, P]
            rows = torch.arange(len(target.labels), device=points.device)
            point_targets = sample_masks(target.masks, points, rows)  # [n, P]
            cost = matching_cost(
                class_logits.float(),
                point_logits,
                target.labels,
                point_targets,
                weights,
            )
            costs.append(cost)
        return assign(costs)

    def mask_losses(
        self,
        mask_logits: Tensor,
        targets: list[MaskTarget],
        pairs: list[tuple[Tensor, Tensor]],
    ) -> tuple[Tensor, Tensor]:
        """Compare matched masks at points.

        Args:
            mask_logits: ``[B, N, h, w]``.
            targets: The ground truth.
            pairs: Matched queries and targets per image.

        Returns:
            Binary cross-entropy (mean over points) and dice, each summed over pairs.
        """
        matched_logits = matched_masks(mask_logits, pairs)  # [n, h, w]
        points = draw_uncertain_points(
            matched_logits,
            self.num_points,
            oversample_ratio=self.oversample_ratio,
            importance_ratio=self.importance_ratio,
        )
        parts = points.split([len(queries) for queries, _ in pairs])
        point_targets = torch.cat(
            [
                sample_masks(target.masks, part, matched)
                for target, part, (_, matched) in zip(
                    targets, parts, pairs, strict=True
                )
            ]
        )  # [n, P]
        logits = sample_maps(matched_logits[:, None], points)[:, 0]
        bce = F.binary_cross_entropy_with_logits(
            logits, point_targets, reduction='none'
        )
        masks = logits.sigmoid()
        dice = dice_loss(
            (masks * point_targets).sum(1), masks.sum(1) + point_targets.sum(1)
        )
        return bce.mean(1).sum(), dice.sum()
