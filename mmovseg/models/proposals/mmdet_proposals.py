"""Class-agnostic masks from a mask head of mmdet."""

from __future__ import annotations

from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmovseg.registry import MODELS

from ..layers import measure_channels
from ..structures import MaskProposals


@MODELS.register_module()
class MMDetProposals(BaseModule):
    """Run ``mmdet.MaskFormerHead`` or ``mmdet.Mask2FormerHead`` and take its masks.

    Their classifier is not used and gets no gradient. They need mmcv with compiled
    ops.

    Args:
        backbone: Config of a backbone with maps of strides 4, 8, 16 and 32.
        head: Config of the head, as in mmdet's model files; ``in_channels`` may be
            left out. Types inside it are looked up in mmdet.
        init_cfg: MMEngine's initialization config.

    Attributes:
        embed_channels: Always None: the queries are not embedded for classification.

    Raises:
        ValueError: If the backbone has other maps.
    """

    embed_channels = None

    def __init__(
        self, backbone: dict, head: dict, *, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.build(backbone)
        in_channels = list(measure_channels(self.backbone))
        # A ConfigDict, since the heads read nested dicts as attributes.
        head = ConfigDict(dict(in_channels=in_channels, _scope_='mmdet') | head)
        self.head = MODELS.build(head)
        self.head.cls_embed.requires_grad_(False)

    def forward(self, images: Tensor) -> list[MaskProposals]:
        """Propose masks.

        Args:
            images: Normalized images, ``[B, 3, H, W]``; H and W multiples of 32.

        Returns:
            In training one entry per prediction of the head, else the last one alone.
            Masks are ``[B, N, H / 4, W / 4]``, region embeddings None.
        """
        # Images as large as the batch: no padding mask, as in the released proposals.
        size = tuple(images.shape[-2:])
        sample = BaseDataElement(metainfo=dict(img_shape=size, batch_input_shape=size))
        _, stages = self.head(self.backbone(images), [sample] * len(images))
        if not self.training:
            stages = stages[-1:]
        return [MaskProposals(mask_logits) for mask_logits in stages]
