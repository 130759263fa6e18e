"""Frozen CLIP vision transformers."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.func import functional_call

from mmovseg.registry import MODELS

from ..clip import (
    create_visual_transformer,
    fused_attention,
    resize_position_embedding,
)


class _Intermediates(nn.Module):
    """Give a tower's last intermediate map a ``forward``, for functional_call."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images: Tensor) -> Tensor:
        output = self.visual.forward_intermediates(
            images, indices=1, intermediates_only=True
        )
        return output['image_intermediates'][0]


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
        self.intermediates = _Intermediates(visual)
        self.embed_dims = visual.positional_embedding.shape[-1]
        self.stride = visual.patch_size[0]

    def init_weights(self) -> None:
        """Leave CLIP's weights alone."""

    def train(self, mode: bool = True) -> CLIPViTBackbone:
        """Stay in eval mode whatever ``mode`` is."""
        return super().train(False)

    @torch.no_grad()
    @fused_attention()
    def forward(self, images: Tensor) -> Tensor:
        """Compute the patch tokens after the last kept block.

        Args:
            images: Normalised images, ``[B, 3, H, W]``; H and W multiples of the
                patch size.

        Returns:
            ``[B, C, H / stride, W / stride]``, without the class token.
        """
        name = 'visual.positional_embedding'
        grid = (images.shape[-2] // self.stride, images.shape[-1] // self.stride)
        table = resize_position_embedding(self.intermediates.get_parameter(name), grid)
        return functional_call(self.intermediates, {name: table}, (images,))
