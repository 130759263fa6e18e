"""A whole frozen CLIP ViT that keeps its patches in CLIP's shared space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..clip import (
    create_visual_transformer,
    embed_patches,
    resize_position_embedding,
)
from ..layers import PatchSeveranceLayer, token_masks


@MODELS.register_module()
class DenseCLIPViT(BaseModule):
    """Embed every patch of an image like CLIP embeds an image.

    The last norm and the projection, which CLIP applies to its class token, are
    applied to the patches. Blocks can be severed, and prompts can be learned inside.
    CLIP's weights never train.

    Args:
        model_name: A name of open_clip, such as ``'ViT-B-16'``.
        pretrained: A tag of open_clip, a local file, or None (random, no network).
        severance: Severed blocks: arguments of
            :class:`~mmovseg.models.layers.PatchSeveranceLayer` and ``block``, its
            number, negative from the end.
        visual_prompt: Config of ``AddedPrompt`` or ``PrependedPrompt``.
        init_cfg: Unused; the tower comes from open_clip.

    Attributes:
        embed_dims: D, width of the shared space.
        stride: Size of a patch in pixels.
        image_size: Side of the square images that CLIP was trained with, in pixels.

    Raises:
        ValueError: If the model is unknown or has no such ViT, or if there is no such
            block, or one is severed twice.

    Source: DeOP, sections 3 and 4.1.
    """

    visual: Any  # open_clip's towers have no type of their own
    visual_prompt: Any
    _severance: dict[int, PatchSeveranceLayer]

    def __init__(
        self,
        model_name: str,
        pretrained: str | None = None,
        *,
        severance: Sequence[Mapping[str, Any]] = (),
        visual_prompt: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.visual = create_visual_transformer(model_name, pretrained)
        block = self.visual.transformer.resblocks[0]
        if (
            self.visual.attn_pool is not None
            or self.visual.proj is None
            or not isinstance(getattr(block, 'attn', None), nn.MultiheadAttention)
        ):
            raise ValueError(
                f'The tower of {model_name!r} pools by attention, projects nothing or '
                "has other attention than CLIP's: take one like ViT-B-16."
            )
        channels, self.embed_dims = self.visual.proj.shape
        self.stride = self.visual.patch_size[0]
        self.image_size = self.visual.image_size[0]
        self._severance = self._read_severance(severance)
        self.visual_prompt = None
        if visual_prompt is not None:
            self.visual_prompt = MODELS.build(
                visual_prompt,
                default_args=dict(channels=channels, patch_size=self.stride),
            )
            self._check_blocks(self.visual_prompt.blocks)

    def _read_severance(
        self, severance: Sequence[Mapping[str, Any]]
    ) -> dict[int, PatchSeveranceLayer]:
        total = len(self.visual.transformer.resblocks)
        layers: dict[int, PatchSeveranceLayer] = {}
        for entry in severance:
            arguments = dict(entry)
            block = arguments.pop('block')
            index = block + total if block < 0 else block
            self._check_blocks([index], shown=block)
            if index in layers:
                raise ValueError(f'Block {block} is severed twice: {list(severance)}.')
            layers[index] = PatchSeveranceLayer(**arguments)
        return layers

    def _check_blocks(self, blocks: Sequence[int], shown: int | None = None) -> None:
        total = len(self.visual.transformer.resblocks)
        for block in blocks:
            if not 0 <= block < total:
                raise ValueError(
                    f'There is no block {block if shown is None else shown}: the tower '
                    f'has {total}, numbered from 0 (or, to sever, from -1 at the end).'
                )

    def init_weights(self) -> None:
        """Leave CLIP's weights and the drawn prompts alone."""

    def train(self, mode: bool = True) -> DenseCLIPViT:
        """Switch the mode; CLIP's tower stays in eval."""
        super().train(mode)
        self.visual.eval()
        return self

    @torch.no_grad()
    def encode_image(self, images: Tensor) -> Tensor:
        """Embed whole images as CLIP does, without severance and prompts.

        Args:
            images: ``[B, 3, S, S]``, of the size and normalization of the CLIP.

        Returns:
            Unit vectors, ``[B, D]``.
        """
        return F.normalize(self.visual(images), dim=-1)

    def forward(self, images: Tensor, mask_logits: Tensor | None = None) -> Tensor:
        """Embed every patch.

        Args:
            images: Normalized images of any size, ``[B, 3, H, W]``; a rest narrower
                than a patch is dropped.
            mask_logits: Proposals ``[B, N, h', w']``, for severance by masks.

        Returns:
            Unit vectors at the patches, ``[B, D, H // stride, W // stride]``.

        Raises:
            ValueError: If severance needs masks and there are none.
        """
        visual, prompt = self.visual, self.visual_prompt
        # Cut the image into patches; the class token comes first.
        tokens, grid = embed_patches(visual, images)  # [B, 1 + L, C]
        # Tell every token its place, in a table of the size of this image.
        table = visual.positional_embedding
        tokens = tokens + resize_position_embedding(table, grid, mode='bicubic')
        if prompt is not None:
            tokens = prompt.embed(tokens, grid)
        tokens = visual.ln_pre(tokens)
        masks = self._token_masks(mask_logits, grid)
        # Run the blocks, those severed in which patches see less of each other.
        for index, block in enumerate(visual.transformer.resblocks):
            if prompt is not None:
                tokens = prompt.before_block(tokens, index, grid)
            severance = self._severance.get(index)
            if severance is None or severance.is_identity:
                tokens = _plain_block(block, tokens)
            else:
                tokens = _severed_block(block, severance, tokens, masks, grid)
        # Project the patches, not the class token, to the space of the names.
        patches = tokens[:, -grid[0] * grid[1] :]
        features = F.normalize(visual.ln_post(patches) @ visual.proj, dim=-1)
        return features.transpose(1, 2).unflatten(2, grid)  # [B, D, h, w]

    def _token_masks(
        self, mask_logits: Tensor | None, grid: tuple[int, int]
    ) -> Tensor | None:
        if not any(layer.needs_masks for layer in self._severance.values()):
            return None
        if mask_logits is None:
            raise ValueError('This severance needs mask_logits, got None.')
        return token_masks(mask_logits, grid)


def _plain_block(block: nn.Module, tokens: Tensor) -> Tensor:
    """Run a block of CLIP as it is, ``[B, T, C]``."""
    return block(tokens.transpose(0, 1)).transpose(0, 1)


def _severed_block(
    block: Any,
    severance: PatchSeveranceLayer,
    tokens: Tensor,
    masks: Tensor | None,
    grid: tuple[int, int],
) -> Tensor:
    """Run a block of CLIP with severed attention.

    Args:
        block: Of CLIP.
        severance: What takes the place of its attention.
        tokens: Class token, prompts and patches, ``[B, T, C]``.
        masks: Proposals by token, ``[B, N, 1 + L]``, if the severance needs them.
        grid: Rows and columns of patches.

    Returns:
        ``[B, 1 + L, C]``: prompts end here.
    """
    if severance.needs_masks:  # which know of patches alone
        tokens = _without_prompts(tokens, grid)
    update = severance(block.attn, block.ln_1(tokens), masks)
    # Prompts have been attended to as far as alpha lets them.
    tokens = _without_prompts(tokens, grid)
    update = block.ls_1(_without_prompts(update, grid))
    tokens = severance.residual_scale * tokens + update
    return tokens + block.ls_2(block.mlp(block.ln_2(tokens)))


def _without_prompts(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Keep class token and patches."""
    patches = grid[0] * grid[1]
    if tokens.shape[1] == 1 + patches:
        return tokens
    return torch.cat([tokens[:, :1], tokens[:, -patches:]], 1)
