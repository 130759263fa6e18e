"""Patch severance in the vision transformers of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..layers import (
    build_severance,
    find_blocks,
    is_identity,
    needs_grid,
    needs_masks,
    run_severed,
)
from ..layers.vit_blocks import read_block


@MODELS.register_module()
class SeveredViT(BaseModule):
    """Sever blocks of a ViT of open_clip, timm, mmseg or mmpretrain.

    It takes and returns what the ViT takes and returns, and has its attributes. Names
    of weights are those of the ViT, with ``backbone.`` in front.

    Args:
        backbone: Config of the ViT, such as ``mmseg.VisionTransformer``.
        severance: Severed blocks, as in :class:`DenseCLIPViT`. Nobody hands masks to
            the blocks, or tells them the grid of patches: layers that need masks or
            the grid are refused.
        init_cfg: MMEngine's initialization config.

    Raises:
        TypeError: If the backbone has no blocks of these libraries.
        ValueError: If there is no such block, one is severed twice, or a layer needs
            masks or the grid.

    Source: DeOP, section 4.1.
    """

    backbone: Any

    def __init__(
        self,
        backbone: dict,
        severance: Sequence[Mapping[str, Any]],
        *,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.build(backbone)
        blocks = find_blocks(self.backbone)
        for index, layer in build_severance(severance, len(blocks)).items():
            if needs_masks(layer):
                raise ValueError(
                    f'SeveredViT cannot sever block {index} by masks: nobody gives it '
                    "any. Take mode='generalized', or DenseCLIPViT inside DeOP."
                )
            if needs_grid(layer):
                raise ValueError(
                    f'SeveredViT cannot repair block {index} by the places of patches: '
                    "nobody tells it the grid. Take another mode than 'naclip', or "
                    'DenseCLIPViT.'
                )
            if not is_identity(layer):
                block: Any = blocks[index]
                block.severance = layer  # its weights, if any, are the block's
                block.forward = _SeveredForward(block)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith('_') or name == 'backbone':
                raise
            return getattr(self.backbone, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the ViT."""
        return self.backbone(*args, **kwargs)


class _SeveredForward:
    """What takes the place of a block's ``forward``; a copy belongs to the copy."""

    def __init__(self, block: nn.Module) -> None:
        self.block = block

    def __call__(self, tokens: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if any(x is not None and x is not False for x in (*args, *kwargs.values())):
            raise ValueError(
                'A severed block of a ViT takes tokens alone, and no attention mask.'
            )
        block: Any = self.block
        parts = read_block(block)
        assert parts is not None
        if parts.batch_first:
            return run_severed(block, block.severance, tokens)
        severed = run_severed(block, block.severance, tokens.transpose(0, 1))
        return severed.transpose(0, 1)
