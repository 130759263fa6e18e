"""Classification anchor learning by convolutions."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..ops import soft_masks


@MODELS.register_module()
class ConvCALHead(BaseModule):
    """Predict the heatmap of a proposal from its masked patch features.

    K times convolution 3x3, batch norm and ReLU, then a convolution to one channel and
    a softmax over all patches. Every proposal is a separate map, so this costs N
    times a convolution over the image.

    Args:
        embed_channels: D, width of CLIP's shared space.
        num_layers: K.
        channels: Of the convolutions in between.
        chunk_size: Proposals at a time, at inference.
        init_cfg: MMEngine's initialization config.

    Source: DeOP, equation 4. Deviates from the leftovers of the released code, which
    have a single convolution without norm.
    """

    def __init__(
        self,
        embed_channels: int,
        num_layers: int = 3,
        *,
        channels: int = 512,
        chunk_size: int = 25,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        layers: list[nn.Module] = []
        for index in range(num_layers):
            width = channels if index else embed_channels
            layers += [
                nn.Conv2d(width, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
        last = channels if num_layers else embed_channels
        self.convs = nn.Sequential(*layers, nn.Conv2d(last, 1, 3, padding=1))
        self.chunk_size = chunk_size

    def forward(self, features: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Embed every proposal.

        Args:
            features: Unit vectors at the patches, ``[B, D, h, w]``.
            mask_logits: ``[B, N, h', w']``.

        Returns:
            Embeddings ``[B, N, D]``, not normalized, and heatmaps ``[B, N, h, w]``.
        """
        size = (features.shape[-2], features.shape[-1])
        masks = soft_masks(mask_logits, size)
        # In training one chunk: the batch norms see all proposals together.
        step = masks.shape[1] if self.training else self.chunk_size
        scores = []
        for chunk in masks.split(step, 1):
            masked = chunk.unsqueeze(2) * features.unsqueeze(1)  # [B, n, D, h, w]
            scores.append(self.convs(masked.flatten(0, 1)).view(chunk.shape))
        heatmaps = torch.cat(scores, 1).flatten(2).softmax(-1).unflatten(-1, size)
        return torch.einsum('bnhw,bdhw->bnd', heatmaps, features), heatmaps
