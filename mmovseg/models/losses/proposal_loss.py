"""The criterion of the proposal network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmovseg.registry import MODELS

from ..ops import resize_masks, without_autocast
from ..structures import MaskPrediction, MaskTarget
from .criterion import Criterion
from .focal import check_focal, focal_cost, focal_loss
from .matching import assign, dice_loss
from .set_loss import check_targets, class_loss, count_masks, matched_masks


@MODELS.register_module()
class ProposalLoss(Criterion):
    """Match queries with targets by their masks alone, then compare the masks.

    Focal and dice loss on all pixels, with the weights of the matching. Everything is
    computed in float32, also under autocast.

    Args:
        mask_weight: Factor of the focal loss of the masks.
        dice_weight: Factor of the dice loss.
        class_weight: Factor of the cross-entropy over classes and void; 0 leaves it
            out, as the paper does (1 in the released training). It never takes part
            in the matching.
        void_weight: Weight of unmatched queries in the cross-entropy, above 0.
        alpha: Weight of pixels inside a mask in the focal loss, in [0, 1]; those
            outside have the rest.
        gamma: Exponent of the focal loss.
        init_cfg: MMEngine's initialization config.

    Raises:
        ValueError: If a number is outside its range.

    Source: DeOP, section 3, and its code; the criterion of MaskFormer (arXiv
    2107.06278).
    """

    def __init__(
        self,
        mask_weight: float = 20.0,
        dice_weight: float = 1.0,
        *,
        class_weight: float = 0.0,
        void_weight: float = 0.1,
        alpha: float = 0.25,
        gamma: float = 2.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_focal(alpha, gamma)
        # With 0 a batch without targets would divide 0 by 0.
        if void_weight <= 0:
            raise ValueError(f'void_weight must be above 0, got {void_weight}.')
        self.mask_weight = mask_weight
        self.dice_weight = dice_weight
        self.class_weight = class_weight
        self.void_weight = void_weight
        self.focal = dict(alpha=alpha, gamma=gamma)

    def forward(
        self, stages: list[MaskPrediction], targets: list[MaskTarget]
    ) -> dict[str, Tensor]:
        """Compute the losses of every stage.

        Args:
            stages: Predictions of B images, one per supervised stage.
            targets: The ground truth of the B images.

        Returns:
            ``s0_loss_mask``, ``s0_loss_dice``, ``s1_...``, and ``s0_loss_ce``, ... if
            ``class_weight`` is above 0: scalars, weights applied. Each depends on the
            predictions, also without targets.

        Raises:
            ValueError: If there are not as many targets as images.
        """
        logits = stages[0].mask_logits
        targets = check_targets(targets, logits)
        num_masks = count_masks(targets, logits.device)
        losses = {}
        # Sums over the pixels of a mask overflow half precision.
        with without_autocast(logits.device):
            for index, stage in enumerate(stages):
                pairs = self.match(stage.mask_logits, targets)
                mask, dice = self.mask_losses(stage.mask_logits, targets, pairs)
                losses[f's{index}_loss_mask'] = self.mask_weight * mask / num_masks
                losses[f's{index}_loss_dice'] = self.dice_weight * dice / num_masks
                if self.class_weight > 0:
                    ce = class_loss(
                        stage.class_logits, targets, pairs, self.void_weight
                    )
                    losses[f's{index}_loss_ce'] = self.class_weight * ce
        return losses

    @torch.no_grad()
    def match(
        self, mask_logits: Tensor, targets: list[MaskTarget]
    ) -> list[tuple[Tensor, Tensor]]:
        """Assign targets to queries.

        Args:
            mask_logits: ``[B, N, h, w]``.
            targets: The ground truth, reduced to the size of the logits by taking the
                nearest pixel.

        Returns:
            Per image the matched queries, ascending, and their targets.
        """
        costs = []
        for maps, target in zip(mask_logits.float(), targets, strict=True):
            target_masks = F.interpolate(
                target.masks[:, None].byte(), size=maps.shape[-2:]
            )
            target_masks = target_masks.flatten(1).bool()  # [n, h * w]
            logits = maps.flatten(1)
            inside, masks = target_masks.to(logits.dtype), logits.sigmoid()
            dice = dice_loss(
                masks @ inside.T, masks.sum(1, keepdim=True) + inside.sum(1)
            )
            focal = focal_cost(logits, target_masks, **self.focal)
            costs.append(self.mask_weight * focal + self.dice_weight * dice)
        return assign(costs)

    def mask_losses(
        self,
        mask_logits: Tensor,
        targets: list[MaskTarget],
        pairs: list[tuple[Tensor, Tensor]],
    ) -> tuple[Tensor, Tensor]:
        """Compare matched masks at the size of the targets.

        Args:
            mask_logits: ``[B, N, h, w]``.
            targets: The ground truth.
            pairs: Matched queries and targets per image.

        Returns:
            Focal loss (mean over pixels) and dice, each summed over pairs.
        """
        target_masks = torch.cat(
            [
                target.masks[matched]
                for target, (_, matched) in zip(targets, pairs, strict=True)
            ]
        )  # [n, H, W]
        matched_logits = matched_masks(mask_logits, pairs)[:, None]
        logits = resize_masks(matched_logits, target_masks.shape[-2:])
        logits = logits.flatten(1)  # [n, H * W]
        target_masks = target_masks.flatten(1)
        masks = logits.sigmoid()
        dice = dice_loss(
            (masks * target_masks).sum(1), masks.sum(1) + target_masks.sum(1)
        )
        return focal_loss(logits, target_masks, **self.focal).sum(), dice.sum()
