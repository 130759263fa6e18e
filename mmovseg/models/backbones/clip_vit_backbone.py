"""Frozen CLIP vision transformers."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..clip import (
    create_visual_transformer,
    embed_patches,
    resize_position_embedding,
)


@MODELS.register_module()
class CLIPViTBackbone(BaseModule):
    """First blocks of a frozen CLIP ViT, for images of any size.

    Args:
        model_name: A name of open_clip, such as ``'ViT-B-16'``.
        pretrained: A tag of open_clip, a local file, or None (random, no network).
        num_blocks: Keep only the first blocks; None keeps all.
        init_cfg: Unused; the tower comes from open_clip.

    Attributes:
        embed_dims: Width of the tokens.
        stride: Size of a patch.

    Raises:
        ValueError: If the model is unknown, has no ViT, or has fewer blocks.

    Source: EOV-Seg, spatial awareness extractor (``num_blocks=1``).
    """

    def __init__(
        self,
        model_name: str,
        pretrained: str | None = None,
        *,
        num_blocks: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        visual = create_visual_transformer(model_name, pretrained)
        total = len(visual.transformer.resblocks)
        num_blocks = total if num_blocks is None else num_blocks
        if not 1 <= num_blocks <= total:
            raise ValueError(
                f'num_blocks must be in [1, {total}] for {model_name!r}, '
                f'got {num_blocks}.'
            )
        visual.prune_intermediate_layers([num_blocks - 1], prune_norm=True)
        self.intermediates: Any = nn.ModuleDict(
            dict(visual=visual)
        )  # as in checkpoints
        self.embed_dims = visual.positional_embedding.shape[-1]
        self.stride = visual.patch_size[0]

    def init_weights(self) -> None:
        """Leave CLIP's weights alone."""

    def train(self, mode: bool = True) -> CLIPViTBackbone:
        """Stay in eval mode whatever ``mode`` is."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Compute the patch tokens after the last kept block.

        Args:
            images: Normalised images, ``[B, 3, H, W]``; H and W multiples of the
                patch size.

        Returns:
            ``[B, C, H / stride, W / stride]``, without the class token.
        """
        visual = self.intermediates.visual
        tokens, grid = embed_patches(visual, images)
        table = resize_position_embedding(visual.positional_embedding, grid)
        tokens = tokens + table.to(tokens.dtype)
        tokens = visual.transformer(visual.ln_pre(tokens))
        return tokens[:, 1:].transpose(1, 2).unflatten(2, grid).contiguous()
