"""The criterion of DeOP."""

from __future__ import annotations

import torch
from torch import Tensor

from mmovseg.registry import MODELS

from ..ops import resize_masks, without_autocast
from ..structures import MaskPrediction, MaskTarget
from .criterion import Criterion
from .focal import check_focal
from .matching import dice_loss
from .set_loss import check_targets

EPSILON = 1e-4  # nearest to 0 and 1 that a probability's logarithm is taken; released


@MODELS.register_module()
class SemanticMapLoss(Criterion):
    """Merge the masks to one map per class, then compare the maps with the labels.

    There is no matching. Pixels without target train void, whether they are ignored,
    unlabeled or padding. Everything is computed in float32, also under autocast.

    Args:
        focal_weight: Factor of the focal loss.
        dice_weight: Factor of the dice loss.
        sharpness: Factor of the merged scores minus one in the final sigmoid.
        alpha: Weight of the right class of a pixel in the focal loss, in [0, 1]; the
            other classes have the rest.
        gamma: Exponent of the focal loss.
        init_cfg: MMEngine's initialization config.

    Raises:
        ValueError: If ``alpha`` or ``gamma`` is outside its range.

    Source: DeOP's code; the paper names focal and dice loss only.
    """

    def __init__(
        self,
        focal_weight: float = 2.0,
        dice_weight: float = 0.8,
        *,
        sharpness: float = 3.0,
        alpha: float = 0.25,
        gamma: float = 2.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_focal(alpha, gamma)
        self.focal_weight = focal_weight
        self.dice_weight = dice_weight
        self.sharpness = sharpness
        self.alpha = alpha
        self.gamma = gamma

    def forward(
        self, stages: list[MaskPrediction], targets: list[MaskTarget]
    ) -> dict[str, Tensor]:
        """Compute the losses of the last stage.

        Args:
            stages: Predictions of B images; only the last one counts.
            targets: The ground truth of the B images. Where masks overlap the first
                one counts.

        Returns:
            ``loss_focal`` and ``loss_dice``: scalars, weights applied. Both depend on
            the predictions, also without targets.

        Raises:
            ValueError: If there are not as many targets as images.
        """
        prediction = stages[-1]
        device = prediction.mask_logits.device
        targets = check_targets(targets, prediction.mask_logits)
        with without_autocast(device):
            labels = self.label_maps(targets, prediction.class_logits.shape[-1] - 1)
            maps = self.class_maps(prediction, (labels.shape[-2], labels.shape[-1]))
            target_probs = maps.gather(1, labels.unsqueeze(1)).squeeze(1)  # [B, H, W]
            focal = self.focal_loss(maps, target_probs)
            known = labels < maps.shape[1] - 1
            # Void takes no part: its channel is zero in both.
            total = maps[:, :-1].sum((1, 2, 3)) + known.sum((1, 2))
            dice = dice_loss((target_probs * known).sum((1, 2)), total).mean()
        return dict(
            loss_focal=self.focal_weight * focal, loss_dice=self.dice_weight * dice
        )

    @staticmethod
    def label_maps(targets: list[MaskTarget], void: int) -> Tensor:
        """Paint the targets of each image into one map, int64, ``[B, H, W]``.

        Args:
            targets: The ground truth.
            void: Label of pixels without target.
        """
        maps = []
        for labels, masks in targets:
            # A last mask everywhere; argmax takes the first of equals.
            everywhere = masks.new_ones(1, *masks.shape[1:])
            first = torch.cat([masks, everywhere]).byte().argmax(0)
            maps.append(torch.cat([labels, labels.new_full((1,), void)])[first])
        return torch.stack(maps)

    def class_maps(self, prediction: MaskPrediction, size: tuple[int, int]) -> Tensor:
        """Merge the masks by their class probabilities.

        Args:
            prediction: N masks per image.
            size: Height and width of the labels.

        Returns:
            One map per class and void, in (0, 1), ``[B, K + 1, *size]``.
        """
        masks = resize_masks(prediction.mask_logits.float(), size).sigmoid()
        probability = prediction.class_logits.float().softmax(-1)
        scores = torch.einsum('bnk,bnhw->bkhw', probability, masks)
        return (self.sharpness * (scores - 1)).sigmoid()

    def focal_loss(self, maps: Tensor, target_probs: Tensor) -> Tensor:
        """Return the focal loss, averaged over images, channels and pixels.

        Args:
            maps: Probability of every channel, ``[B, K + 1, H, W]``.
            target_probs: That of the labeled channel, ``[B, H, W]``.
        """
        # Labels as one-hot maps would be as large as the predictions: all channels
        # count as wrong ones first, then the labeled one is corrected.
        wrong = (1 - self.alpha) * self._entropy(1 - maps).mean()
        correction = self.alpha * self._entropy(target_probs)
        correction = correction - (1 - self.alpha) * self._entropy(1 - target_probs)
        return wrong + correction.mean() / maps.shape[1]

    def _entropy(self, probability: Tensor) -> Tensor:
        """Return the focal loss of the probability of the true answer."""
        log = probability.clamp(EPSILON, 1 - EPSILON).log()
        return -((1 - probability) ** self.gamma) * log
