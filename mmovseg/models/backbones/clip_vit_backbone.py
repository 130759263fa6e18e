"""Frozen CLIP vision transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
from ..layers import read_out_indices, refuse_init_cfg, unfreeze_stages
from ..ops import gradients


@MODELS.register_module()
class CLIPViTBackbone(BaseModule):
    """First blocks of a CLIP ViT, frozen unless told otherwise, for images of any size.

    Args:
        model_name: A name of open_clip, such as ``'ViT-B-16'``.
        pretrained: A tag of open_clip, a local file, or None (random, no network).
        num_blocks: Keep only the first blocks; None keeps those that are needed.
        out_indices: The blocks whose maps are returned, counted from 0, or from -1 at
            the end. None returns the map of the last block alone and not in a tuple,
            as the spatial branch of EOV-Seg wants it.
        out_origin: Put the map before the first block in front, as mmseg's ViT does.
        output_cls_token: Return lists of map and class token, as mmseg's SAN needs.
        interpolate_mode: How the position table gets the size of an image; EOV-Seg's
            is ``'bilinear'``, mmseg's and DeOP's ``'bicubic'``.
        frozen_stages: The embedding of patches and this many blocks stay frozen, the
            others train; -1 freezes nothing, None everything.
        init_cfg: Refused; the tower loads what ``pretrained`` names.

    Attributes:
        embed_dims: Width C of the tokens.
        out_channels: Channels of the returned maps, all C.
        stride: Size of a patch, in pixels.
        strides: Strides of the returned maps, all the same.

    Raises:
        ValueError: If the model is unknown, has no ViT, or has fewer blocks, or what
            belongs to ``out_indices`` is asked for without it.

    Source: EOV-Seg, spatial awareness extractor (``num_blocks=1``).
    """

    def __init__(
        self,
        model_name: str,
        pretrained: str | None = None,
        *,
        num_blocks: int | None = None,
        out_indices: Sequence[int] | None = None,
        out_origin: bool = False,
        output_cls_token: bool = False,
        interpolate_mode: str = 'bilinear',
        frozen_stages: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        refuse_init_cfg(self, init_cfg)
        if out_indices is None and (out_origin or output_cls_token):
            raise ValueError(
                'CLIPViTBackbone returns one map without out_indices: set them, too, '
                'or leave out_origin and output_cls_token out.'
            )
        visual = create_visual_transformer(model_name, pretrained)
        total = len(visual.transformer.resblocks)
        if num_blocks is not None and not 1 <= num_blocks <= total:
            raise ValueError(
                f'num_blocks must be in [1, {total}] for {model_name!r}, '
                f'got {num_blocks}.'
            )
        total = num_blocks or total
        self.out_indices = None
        if out_indices is not None:
            self.out_indices = read_out_indices(self, out_indices, total)
            total = num_blocks or self.out_indices[-1] + 1
        self.out_origin = out_origin
        self.output_cls_token = output_cls_token
        self.interpolate_mode = interpolate_mode
        visual.prune_intermediate_layers([total - 1], prune_norm=True)
        self.intermediates: Any = nn.ModuleDict(
            dict(visual=visual)
        )  # as in checkpoints
        self.embed_dims = visual.positional_embedding.shape[-1]
        self.stride = visual.patch_size[0]
        count = len(self.out_indices or [0]) + out_origin
        self.out_channels = (self.embed_dims,) * count
        self.strides = (self.stride,) * count
        self._last = total - 1 if self.out_indices is None else self.out_indices[-1]
        self._trains = unfreeze_stages(
            self, list_tower_stages(visual), frozen_stages, used=self._last + 1
        )

    def init_weights(self) -> None:
        """Leave CLIP's weights alone."""

    def train(self, mode: bool = True) -> CLIPViTBackbone:
        """Stay in eval mode whatever ``mode`` is."""
        return super().train(False)

    def forward(self, images: Tensor) -> Any:
        """Compute the patch tokens after the last kept block, or after several.

        Args:
            images: Normalized images, ``[B, 3, H, W]``; a rest narrower than a patch
                is dropped.

        Returns:
            ``[B, C, H // stride, W // stride]``, without the class token. With
            ``out_indices`` a tuple of such maps, or of lists of map and class token
            ``[B, C]``.
        """
        visual = self.intermediates.visual
        with gradients(self._trains):
            tokens, grid = embed_patches(visual, images)
            tokens = add_positions(visual, tokens, grid, mode=self.interpolate_mode)
            tokens = visual.ln_pre(tokens)
            _, found = visual.transformer.forward_intermediates(
                tokens, indices=list(self.out_indices or [self._last]), stop_early=True
            )
            if self.out_indices is None:
                return make_map(found[0], grid)
            found = [tokens] * self.out_origin + found
            return tuple(
                make_map(x, grid, with_class_token=self.output_cls_token) for x in found
            )
