"""Masks of everything in an image, by SAM and SAM 2 of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import masks_to_boxes, nms

from mmovseg.registry import MODELS

from ..structures import MaskProposals
from .hub_model import HubModel

FITTED = ('sam',)  # networks that keep the shape of an image; the others squeeze it
KINDS = (*FITTED, 'sam2', 'sam2_video')
STABILITY = 1.0  # how far the threshold of a mask is moved to see whether it changes
MASK_STRIDE = 4  # of both


@MODELS.register_module()
class SamProposals(HubModel):
    """Run SAM or SAM 2 on a grid of points, and keep masks that are good and differ.

    That is their automatic mask generation without crops and without the removal of
    small holes. A mask's predicted IoU takes the place of the probability of an object.

    Args:
        pretrained: Hub name, such as ``'facebook/sam2.1-hiera-large'``, a folder that
            ``save_pretrained`` has written, or None; see :class:`HubModel`.
        architecture: For ``pretrained=None``: ``model_type`` and what else its
            ``config.json`` says.
        points_per_side: Points along each side of the grid.
        points_per_batch: Points that are asked for at once.
        pred_iou_thr: A mask needs a predicted IoU above this.
        stability_thr: And needs to change less than this says if its threshold moves:
            the IoU of the mask above a logit of 1 and that above -1.
        nms_thr: Of two masks whose boxes overlap more than this the better one stays.
        max_masks: So many of the best are kept.
        mean: Means of the images that come; see :class:`HubModel`.
        std: Their standard deviations.
        init_cfg: MMEngine's initialization config.

    Attributes:
        embed_channels: Always None.
        class_names: Always None: it knows no classes.

    Raises:
        ImportError: If transformers is not installed.
        OSError: If there is no such network, or the hub cannot be reached.
        ValueError: If the network is of another kind, or a number is below 1.

    Source: SAM (arXiv 2304.02643), appendix B; thresholds are those of its code.
    """

    embed_channels = None
    class_names = None

    def __init__(
        self,
        pretrained: str | None,
        *,
        architecture: Mapping[str, Any] | None = None,
        points_per_side: int = 32,
        points_per_batch: int = 64,
        pred_iou_thr: float = 0.8,
        stability_thr: float = 0.95,
        nms_thr: float = 0.7,
        max_masks: int = 100,
        mean: Any = None,
        std: Any = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            pretrained,
            architecture,
            auto_class='AutoModelForMaskGeneration',
            kinds=KINDS,
            task='mask generation',
            mean=mean,
            std=std,
            init_cfg=init_cfg,
        )
        if min(points_per_side, points_per_batch, max_masks) < 1:
            raise ValueError(
                'points_per_side, points_per_batch and max_masks must be at least 1, '
                f'got {points_per_side}, {points_per_batch} and {max_masks}.'
            )
        self.points_per_batch = points_per_batch
        self.pred_iou_thr = pred_iou_thr
        self.stability_thr = stability_thr
        self.nms_thr = nms_thr
        self.max_masks = max_masks
        self.side = self.network.config.prompt_encoder_config.image_size
        steps = (torch.arange(points_per_side) + 0.5) / points_per_side
        grid = torch.cartesian_prod(steps, steps).flip(-1)  # x, y
        self.register_buffer('_grid', grid, persistent=False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[MaskProposals]:
        """Propose masks.

        Args:
            images: Normalized images, ``[B, 3, H, W]``.

        Returns:
            One entry: masks ``[B, N, h, w]`` of the whole images, best first, and their
            predicted IoU, ``[B, N, 1]``. N is that of the image with most of them; the
            others have masks without a positive pixel and a zero at the end.
        """
        images, size = self._fit(self.normalize(images))
        found = [self._segment(image[None], size) for image in images]
        most = max(1, *(len(scores) for _, scores in found))
        masks, scores = zip(
            *(
                (
                    F.pad(m, (0, 0, 0, 0, 0, most - len(m)), value=-1e4),
                    F.pad(s, (0, most - len(s))),
                )
                for m, s in found
            ),
            strict=True,
        )
        return [
            MaskProposals(
                torch.stack(masks), class_probs=torch.stack(scores).unsqueeze(-1)
            )
        ]

    def _fit(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Resize images to the square that the network takes; return their part."""
        height = width = self.side
        if self.kind in FITTED:
            longest = max(images.shape[-2:])
            height, width = (
                max(round(x * self.side / longest / MASK_STRIDE), 1) * MASK_STRIDE
                for x in images.shape[-2:]
            )
        larger = max(images.shape[-2:]) > self.side
        images = F.interpolate(
            images, (height, width), mode='bilinear', antialias=larger
        )
        images = F.pad(images, (0, self.side - width, 0, self.side - height))
        return images, (height, width)

    def _segment(self, image: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Find the masks of an image: ``[N, h, w]`` and their scores, ``[N]``."""
        embeddings = self.network.get_image_embeddings(image)
        points = self._grid * self._grid.new_tensor(size[::-1])
        kept_masks, kept_scores = [], []
        for some in points.split(self.points_per_batch):
            output = self.network(
                image_embeddings=embeddings,
                input_points=some[None, :, None],  # [1, points, 1, 2]
                multimask_output=True,
            )
            masks = output.pred_masks.flatten(0, 2)  # [points * 3, h, w]
            masks = masks[:, : size[0] // MASK_STRIDE, : size[1] // MASK_STRIDE]
            scores = output.iou_scores.flatten()
            good = (scores > self.pred_iou_thr) & self._is_stable(masks)
            kept_masks.append(masks[good].float())
            kept_scores.append(scores[good].float())
        masks, scores = torch.cat(kept_masks), torch.cat(kept_scores)
        best = nms(masks_to_boxes(masks > 0), scores, self.nms_thr)[: self.max_masks]
        return masks[best], scores[best].clamp(0, 1)

    def _is_stable(self, masks: Tensor) -> Tensor:
        """Whether masks stay nearly the same for another threshold, and are not empty.

        Args:
            masks: Logits, ``[N, h, w]``.
        """
        inner = (masks > STABILITY).flatten(1).sum(-1)
        outer = (masks > -STABILITY).flatten(1).sum(-1)
        stable = inner > self.stability_thr * outer
        return stable & (masks > 0).flatten(1).any(-1)
