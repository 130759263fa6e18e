"""Visual prompt tuning: what is learned inside a frozen CLIP ViT."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..clip import resize_position_embedding
from ..layers import refuse_init_cfg


@MODELS.register_module()
class AddedPrompt(BaseModule):
    """Add learned position tables to the tokens (visual prompt by adding).

    One table is added with CLIP's own before the tower's first norm, one to the input
    of each listed block; the class token has a row in each. Tables are resized
    bicubically to the patch grid.

    Args:
        blocks: Blocks with a table of their own, counted from 0.
        resolution: Image size in pixels for which the tables are made.
        channels: Width of the tokens; set by the backbone.
        patch_size: Of the tower in pixels; set by the backbone.
        frozen: Whether the tables keep the weights they have.
        init_cfg: Refused; tables start from ``N(0, 1 / channels)``.

    Source: DeOP, section 3.2 and appendix B; tables and start from released code.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (1, 2, 3, 4, 5),
        resolution: int = 384,
        *,
        channels: int,
        patch_size: int,
        frozen: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        refuse_init_cfg(self, init_cfg)
        self.blocks = list(blocks)
        # The released code takes patches of 16 for the tables of blocks in any tower.
        sides = [resolution // patch_size] + [resolution // 16] * len(self.blocks)
        self.tables = nn.ParameterList(
            torch.randn(side**2 + 1, channels) * channels**-0.5 for side in sides
        )
        self.requires_grad_(not frozen)

    def init_weights(self) -> None:
        """Keep what the constructor drew."""

    def embed(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Add the tower's table to the embedded patches, ``[B, 1 + L, C]``."""
        return tokens + resize_position_embedding(self.tables[0], grid, mode='bicubic')

    def before_block(self, tokens: Tensor, index: int, grid: tuple[int, int]) -> Tensor:
        """Change the input of a block, ``[B, 1 + L, C]``."""
        if index not in self.blocks:
            return tokens
        table = self.tables[1 + self.blocks.index(index)]
        return tokens + resize_position_embedding(table, grid, mode='bicubic')


@MODELS.register_module()
class PrependedPrompt(BaseModule):
    """Put learned tokens between class token and patches (prompt by prepending).

    Tokens enter at a listed block; if the block before was listed too, they replace
    its tokens. They stay until a severed block or the end of the tower.

    Args:
        blocks: Blocks with tokens of their own, counted from 0.
        num_tokens: Tokens per block.
        channels: Width of the tokens; set by the backbone.
        patch_size: Of the tower in pixels; set by the backbone.
        frozen: Whether the tokens keep the weights they have.
        dropout: Probability, on the learned tokens in training.
        init_cfg: Refused; tokens start uniform, as in VPT (arXiv 2203.12119).

    Source: DeOP, appendix B and released code.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (1, 2, 3, 4, 5),
        num_tokens: int = 5,
        *,
        channels: int,
        patch_size: int,
        frozen: bool = False,
        dropout: float = 0.1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        refuse_init_cfg(self, init_cfg)
        self.blocks = list(blocks)
        bound = math.sqrt(6 / (3 * patch_size**2 + channels))
        tokens = torch.empty(len(self.blocks), num_tokens, channels)
        self.tokens = nn.Parameter(tokens.uniform_(-bound, bound))
        self.dropout = nn.Dropout(dropout)
        self.requires_grad_(not frozen)

    def init_weights(self) -> None:
        """Keep what the constructor drew."""

    def embed(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Leave the embedded patches as they are."""
        return tokens

    def before_block(self, tokens: Tensor, index: int, grid: tuple[int, int]) -> Tensor:
        """Insert or replace learned tokens, ``[B, 1 + n + L, C]``."""
        if index not in self.blocks:
            return tokens
        own = self.dropout(self.tokens[self.blocks.index(index)])
        own = own.expand(len(tokens), -1, -1)
        patches = tokens[:, 1:]
        if index - 1 in self.blocks:
            patches = tokens[:, -grid[0] * grid[1] :]
        return torch.cat([tokens[:, :1], own, patches], 1)
