"""Region embeddings by averaging inside soft masks."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmovseg.registry import MODELS

from ..ops import soft_masks


@MODELS.register_module()
class MaskPoolHead(BaseModule):
    """Pool patch features with the proposal masks; nothing to train.

    Args:
        embed_channels: D, ignored: every width will do.
        init_cfg: Not used.

    Example:
        >>> import torch
        >>> features, mask_logits = torch.ones(1, 8, 2, 3), torch.zeros(1, 5, 4, 6)
        >>> embeds, weights = MaskPoolHead()(features, mask_logits)
        >>> embeds.shape, weights.shape
        (torch.Size([1, 5, 8]), torch.Size([1, 5, 2, 3]))

    Source: DeOP, section 3.1 (baseline).
    """

    def __init__(
        self, embed_channels: int | None = None, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)

    def forward(self, features: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Embed every proposal.

        Args:
            features: Unit vectors at the patches, ``[B, D, h, w]``.
            mask_logits: ``[B, N, h', w']``.

        Returns:
            Embeddings ``[B, N, D]``, not normalized, and the weights of the patches
            ``[B, N, h, w]``.
        """
        heatmaps = soft_masks(mask_logits, features.shape[-2:])
        return torch.einsum('bnhw,bdhw->bnd', heatmaps, features), heatmaps
