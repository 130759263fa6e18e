"""Class-agnostic masks from a whole detector of mmdet."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmovseg.registry import MODELS

from ..structures import MaskProposals

INSIDE = 10.0  # logit of a pixel that is surely inside


@MODELS.register_module()
class DetectorProposals(BaseModule):
    """Run a detector that finds instances, and take its best masks.

    It is frozen and stays in eval mode. Most detectors need mmcv with compiled ops.

    Args:
        detector: Config of the detector, such as mmdet's Mask R-CNN. Its types are
            looked up in mmdet; ``_scope_`` names another package. Its preprocessor is
            not used: the images come from that of the surrounding model, which has to
            normalize as the detector wants.
        num_proposals: N. With fewer instances in an image the rest is empty masks.
        init_cfg: MMEngine's initialization config.

    Attributes:
        embed_channels: Always None: masks are not embedded for classification.
    """

    embed_channels = None

    def __init__(
        self,
        detector: dict,
        num_proposals: int = 100,
        *,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_proposals < 1:
            raise ValueError(f'num_proposals must be at least 1, got {num_proposals}.')
        # A ConfigDict, since detectors read nested dicts as attributes.
        config = ConfigDict(dict(_scope_='mmdet') | detector)
        self.detector: Any = MODELS.build(config).requires_grad_(False)
        self.num_proposals = num_proposals

    def train(self, mode: bool = True) -> DetectorProposals:
        """Stay in eval mode whatever ``mode`` is."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[MaskProposals]:
        """Propose masks, best first.

        Args:
            images: Normalized images, ``[B, 3, H, W]``.

        Returns:
            One entry: masks ``[B, N, H / 4, W / 4]``, region embeddings None.

        Raises:
            ValueError: If the detector finds boxes without masks.
        """
        size = (images.shape[-2], images.shape[-1])
        shapes = ('img_shape', 'ori_shape', 'pad_shape', 'batch_input_shape')
        meta = dict.fromkeys(shapes, size) | dict(scale_factor=(1.0, 1.0))
        samples: list[Any] = [BaseDataElement(metainfo=meta) for _ in images]
        found = self.detector.predict(images, samples, rescale=False)
        small = (size[0] // 4, size[1] // 4)
        masks = images.new_full((len(images), self.num_proposals, *small), -INSIDE)
        for row, sample in zip(masks, found, strict=True):
            instances = sample.pred_instances
            if 'masks' not in instances:
                raise ValueError(
                    f'{type(self.detector).__name__} finds boxes without masks: take a '
                    'detector of instance segmentation.'
                )
            order = instances.scores.argsort(descending=True)[: len(row)]
            kept = torch.as_tensor(instances.masks, device=row.device)[order].float()
            if len(kept):
                share = F.interpolate(kept[None], small, mode='area')[0]
                row[: len(kept)] = (2 * share - 1) * INSIDE
        return [MaskProposals(masks)]
