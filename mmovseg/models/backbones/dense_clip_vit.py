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
    add_positions,
    create_visual_transformer,
    embed_patches,
    list_tower_stages,
    make_map,
)
from ..layers import (
    build_severance,
    is_identity,
    needs_grid,
    needs_masks,
    read_out_indices,
    refuse_init_cfg,
    run_severed,
    token_masks,
    unfreeze_stages,
)


@MODELS.register_module()
class DenseCLIPViT(BaseModule):
    """Embed every patch of an image like CLIP embeds an image.

    The last norm and the projection, which CLIP applies to its class token, are
    applied to the patches. Blocks can be severed, and prompts can be learned inside.
    CLIP's weights are frozen unless told otherwise.

    Args:
        model_name: A name of open_clip, such as ``'ViT-B-16'``.
        pretrained: A tag of open_clip, a local file, or None (random, no network).
        severance: Severed blocks: ``block``, its number, negative from the end, and a
            config whose type is :class:`~mmovseg.models.PatchSeveranceLayer` if it
            names no other, such as :class:`~mmovseg.models.AttentionRepairLayer`;
            see :class:`~mmovseg.models.protocols.Severance`.
        visual_prompt: Config of ``AddedPrompt`` or ``PrependedPrompt``.
        out_indices: The blocks whose maps are returned, counted from 0, or from -1 at
            the end. None returns the map of the last block alone and not in a tuple,
            as our own models want it.
        projected: Whether maps are in the shared space; False returns the tokens as
            the blocks leave them, as mmseg's ViT does.
        out_origin: Put the map before the first block in front, as mmseg's ViT does.
        output_cls_token: Return lists of map and class token, as mmseg's SAN needs.
        frozen_stages: The embedding of patches and this many blocks stay frozen, the
            others train; -1 freezes nothing, None everything. The last norm and the
            projection stay frozen.
        init_cfg: Refused; the tower loads what ``pretrained`` names.

    Attributes:
        embed_dims: D, width of the shared space.
        out_channels: Channels of the returned maps: D, or C of the tokens unless
            ``projected``.
        stride: Size of a patch in pixels.
        strides: Strides of the returned maps, all the same.
        image_size: Side of the square images that CLIP was trained with, in pixels.

    Raises:
        ValueError: If the model is unknown or has no such ViT, or if there is no such
            block, or one is severed twice, or what belongs to ``out_indices`` is asked
            for without it.

    Source: DeOP, sections 3 and 4.1.
    """

    visual: Any  # open_clip's towers have no type of their own
    visual_prompt: Any
    severance: Any

    def __init__(
        self,
        model_name: str,
        pretrained: str | None = None,
        *,
        severance: Sequence[Mapping[str, Any]] = (),
        visual_prompt: dict | None = None,
        out_indices: Sequence[int] | None = None,
        projected: bool = True,
        out_origin: bool = False,
        output_cls_token: bool = False,
        frozen_stages: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        refuse_init_cfg(self, init_cfg)
        if out_indices is None and (out_origin or output_cls_token or not projected):
            raise ValueError(
                'DenseCLIPViT returns one map in the shared space without '
                'out_indices: set them, too, or leave projected, out_origin and '
                'output_cls_token out.'
            )
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
        total = len(self.visual.transformer.resblocks)
        self.severance = nn.ModuleDict(
            {str(i): layer for i, layer in build_severance(severance, total).items()}
        )
        self.out_indices = None
        if out_indices is not None:
            self.out_indices = read_out_indices(self, out_indices, total)
        self.projected = projected
        self.out_origin = out_origin
        self.output_cls_token = output_cls_token
        count = len(self.out_indices or [0]) + out_origin
        self.out_channels = (self.embed_dims if projected else channels,) * count
        self.strides = (self.stride,) * count
        self._last = total - 1 if self.out_indices is None else self.out_indices[-1]
        unfreeze_stages(
            self, list_tower_stages(self.visual), frozen_stages, used=self._last + 1
        )
        self.visual_prompt = None
        if visual_prompt is not None:
            self.visual_prompt = MODELS.build(
                visual_prompt,
                default_args=dict(channels=channels, patch_size=self.stride),
            )
            self._check_blocks(self.visual_prompt.blocks)

    def _check_blocks(self, blocks: Sequence[int]) -> None:
        total = len(self.visual.transformer.resblocks)
        for block in blocks:
            if not 0 <= block < total:
                raise ValueError(
                    f'There is no block {block}: the tower has {total}, numbered from '
                    '0.'
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

    def forward(self, images: Tensor, mask_logits: Tensor | None = None) -> Any:
        """Embed every patch.

        Args:
            images: Normalized images of any size, ``[B, 3, H, W]``; a rest narrower
                than a patch is dropped.
            mask_logits: Proposals ``[B, N, h', w']``, for severance by masks.

        Returns:
            Unit vectors at the patches, ``[B, D, H // stride, W // stride]``. With
            ``out_indices`` a tuple of such maps (of tokens ``[B, C, ...]`` unless
            ``projected``), or of lists of map and class token, ``[B, D or C]``.

        Raises:
            ValueError: If severance needs masks and there are none.
        """
        visual, prompt = self.visual, self.visual_prompt
        # Cut the image into patches; the class token comes first.
        tokens, grid = embed_patches(visual, images)  # [B, 1 + L, C]
        # Tell every token its place, in a table of the size of this image.
        tokens = add_positions(visual, tokens, grid, mode='bicubic')
        if prompt is not None:
            tokens = prompt.embed(tokens, grid)
        tokens = visual.ln_pre(tokens)
        masks = self._token_masks(mask_logits, grid)
        found = [tokens] if self.out_origin else []
        # Run the blocks, those severed in which patches see less of each other.
        blocks = visual.transformer.resblocks
        for index, block in zip(range(self._last + 1), blocks, strict=False):
            if prompt is not None:
                tokens = prompt.before_block(tokens, index, grid)
            tokens = self._run_block(index, block, tokens, masks, grid)
            if index in (self.out_indices or ()):
                found.append(tokens)
        if self.out_indices is not None:
            return tuple(self._make_map(x, grid) for x in found)
        # Project the patches, not the class token, to the space of the names.
        patches = tokens[:, -grid[0] * grid[1] :]
        features = self._project(patches)
        return features.transpose(1, 2).unflatten(2, grid)  # [B, D, h, w]

    def _run_block(
        self,
        index: int,
        block: nn.Module,
        tokens: Tensor,
        masks: Tensor | None,
        grid: tuple[int, int],
    ) -> Tensor:
        """Run a block; prompts end in one that is severed."""
        if str(index) not in self.severance or is_identity(self.severance[str(index)]):
            return _plain_block(block, tokens)
        layer = self.severance[str(index)]
        if needs_masks(layer) or needs_grid(layer):  # which know of patches alone
            tokens = _without_prompts(tokens, grid)
        # Prompts have been attended to as far as alpha lets them.
        return run_severed(
            block, layer, tokens, masks, lambda x: _without_prompts(x, grid), grid=grid
        )

    def _project(self, tokens: Tensor) -> Tensor:
        """Put tokens ``[..., C]`` into the shared space, as unit vectors."""
        visual = self.visual
        return F.normalize(visual.ln_post(tokens) @ visual.proj, dim=-1)

    def _make_map(self, tokens: Tensor, grid: tuple[int, int]) -> Any:
        tokens = _without_prompts(tokens, grid)
        if self.projected:
            tokens = self._project(tokens)
        return make_map(tokens, grid, with_class_token=self.output_cls_token)

    def _token_masks(
        self, mask_logits: Tensor | None, grid: tuple[int, int]
    ) -> Tensor | None:
        if not any(needs_masks(layer) for layer in self.severance.values()):
            return None
        if mask_logits is None:
            raise ValueError(
                'This severance needs mask_logits, got None: in a model that passes '
                "no masks to its backbone, take mode='generalized'."
            )
        return token_masks(mask_logits, grid)


def _plain_block(block: nn.Module, tokens: Tensor) -> Tensor:
    """Run a block of CLIP as it is, ``[B, T, C]``."""
    return block(tokens.transpose(0, 1)).transpose(0, 1)


def _without_prompts(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Keep class token and patches."""
    patches = grid[0] * grid[1]
    if tokens.shape[1] == 1 + patches:
        return tokens
    return torch.cat([tokens[:, :1], tokens[:, -patches:]], 1)
