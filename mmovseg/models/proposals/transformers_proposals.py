"""Masks of the universal-segmentation networks of transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

from ..clip import tokenize
from ..structures import MaskProposals
from .hub_model import HubModel

SQUARE = ('eomt', 'eomt_dinov3')  # networks that take images of one size only
KINDS = (*SQUARE, 'mask2former', 'maskformer', 'oneformer')
MASK_STRIDE = 4  # of all of them


@MODELS.register_module()
class TransformersProposals(HubModel):
    """Run EoMT, Mask2Former, MaskFormer or OneFormer of transformers.

    Beside the masks there are the probabilities of the classes that the network knows.
    EoMT gets images of its own size: they are made smaller or larger, and padded.

    Args:
        pretrained: Hub name, such as ``'tue-mps/coco_panoptic_eomt_large_640'``, a
            folder that ``save_pretrained`` has written, or None; see
            :class:`HubModel`.
        architecture: For ``pretrained=None``: ``model_type`` and what else its
            ``config.json`` says.
        backbone_architecture: The same of its backbone.
        class_names: The classes that the network knows, in its order: packaged name,
            path or list. None takes the names in its ``config.json``.
        mean: Means of the images that come; see :class:`HubModel`.
        std: Their standard deviations.
        init_cfg: MMEngine's initialization config.

    Attributes:
        embed_channels: Always None: the queries are not embedded for classification.
        class_names: The classes that the network knows.

    Raises:
        ImportError: If transformers is not installed.
        OSError: If there is no such network, or the hub cannot be reached.
        ValueError: If the network is of another kind, or knows another number of
            classes.
    """

    embed_channels = None

    def __init__(
        self,
        pretrained: str | None,
        *,
        architecture: Mapping[str, Any] | None = None,
        backbone_architecture: Mapping[str, Any] | None = None,
        class_names: Vocabulary | str | Path | Sequence[str] | None = None,
        mean: Any = None,
        std: Any = None,
        init_cfg: dict | None = None,
    ) -> None:
        if architecture is not None and backbone_architecture is not None:
            backbone = dict(backbone_architecture)
            architecture = dict(architecture, backbone_config=backbone)
        super().__init__(
            pretrained,
            architecture,
            auto_class='AutoModelForUniversalSegmentation',
            kinds=KINDS,
            task='universal segmentation',
            mean=mean,
            std=std,
            init_cfg=init_cfg,
        )
        labels = self.network.config.id2label
        if class_names is None:
            class_names = [labels[index] for index in sorted(labels)]
        self.class_names = Vocabulary.load(class_names)
        if len(self.class_names) != len(labels):
            raise ValueError(
                f'{pretrained or "architecture"} knows {len(labels)} classes, '
                f'class_names are {len(self.class_names)}: take a network trained on '
                'these classes, or class_names=None for the names it brings.'
            )
        if self.kind in SQUARE and pretrained is None:
            # Of training; pretrained networks end with plain attention.
            self.network.attn_mask_probs.zero_()
        task = torch.empty(0)
        if self.kind == 'oneformer':
            length = self.network.config.task_seq_len
            task = tokenize('the task is panoptic')[:, :length].float()
        self.register_buffer('_task', task, persistent=False)

    def forward(self, images: Tensor) -> list[MaskProposals]:
        """Propose masks.

        Args:
            images: Normalized images, ``[B, 3, H, W]``; H and W multiples of 32.

        Returns:
            One entry: masks ``[B, N, h, w]`` of the whole images, and probabilities of
            the C classes that the network knows, ``[B, N, C]``.
        """
        images = self.normalize(images)
        size = (images.shape[-2], images.shape[-1])
        given = {}
        if self.kind in SQUARE:
            images, size = self._fit(images)
        if self.kind == 'oneformer':
            given['task_inputs'] = self._task.expand(len(images), -1)
        output = self.network(pixel_values=images, **given)
        probabilities = output.class_queries_logits.float().softmax(-1)[..., :-1]
        masks = output.masks_queries_logits
        masks = masks[..., : size[0] // MASK_STRIDE, : size[1] // MASK_STRIDE]
        return [MaskProposals(masks, class_probs=probabilities)]

    def _fit(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Fit images into the squares that the network takes; the rest is black.

        The new size is a multiple of the masks' stride, so that their padding can be
        cut off.
        """
        side = self.network.config.image_size
        longest = max(images.shape[-2:])
        height, width = (
            max(round(x * side / longest / MASK_STRIDE), 1) * MASK_STRIDE
            for x in images.shape[-2:]
        )
        images = F.interpolate(
            images, (height, width), mode='bilinear', antialias=longest > side
        )
        # From black, so that black is what is padded.
        images = F.pad(images - self._black, (0, side - width, 0, side - height))
        return images + self._black, (height, width)
