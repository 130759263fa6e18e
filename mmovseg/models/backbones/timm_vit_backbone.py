"""Frozen vision transformers of timm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..clip import freeze
from ..layers import read_out_indices, refuse_init_cfg, unfreeze_stages
from ..ops import gradients

# What makes the models of a module of timm take images of any size.
ANY_SIZE: dict[str, dict[str, Any]] = {
    'timm.models.vision_transformer': dict(dynamic_img_size=True),
    'timm.models.vision_transformer_sam': {},  # they do
}

# What makes the tokens of a ViT of timm.
STEM = ('patch_embed', 'cls_token', 'reg_token', 'pos_embed', 'norm_pre')


@MODELS.register_module()
class TimmViTBackbone(BaseModule):
    """First blocks of a ViT of timm, such as DINOv2's and SAM's.

    It is frozen unless told otherwise.

    Its map has stride 16 whatever the patches are: an image is resized until every
    16 x 16 pixels are one patch, for patches of 14 to 7/8 of its size. Tables of
    absolute positions are resized by timm (bicubic), windows of SAM padded.

    Args:
        model_name: A name of timm, without tag: ``'vit_base_patch14_dinov2'``,
            ``'samvit_base_patch16'``.
        pretrained: A tag of timm (``'lvd142m'``, ``'sa1b'``; downloaded once), a local
            file in timm's layout or the original one (safetensors, or a pickle that
            is loaded weights-only), or None (random, no network).
        num_blocks: Keep only the first blocks; None keeps those that are needed.
        out_indices: The blocks whose maps are returned; see :class:`CLIPViTBackbone`.
        frozen_stages: The embedding of patches and this many blocks stay frozen, the
            others train; -1 freezes nothing, None everything.
        init_cfg: Refused; the model loads what ``pretrained`` names.

    Attributes:
        embed_dims: Width C of the tokens.
        out_channels: Channels of the returned maps, all C.
        stride: 16, in pixels.
        strides: Strides of the returned maps, all 16.

    Raises:
        ValueError: If timm has no such model or tag, or it is no plain ViT, or has
            fewer blocks.
        FileNotFoundError: If ``pretrained`` looks like a file and is missing.

    Source: EOV-Seg, table 3. Deviates: the paper says nothing about the patches of
    DINOv2, positions and last norm; here blocks give their tokens without a norm.
    """

    stride = 16

    def __init__(
        self,
        model_name: str,
        pretrained: str | None = None,
        *,
        num_blocks: int | None = None,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        refuse_init_cfg(self, init_cfg)
        model = _create_vit(model_name, pretrained)
        total = len(model.blocks)
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
        model.prune_intermediate_layers([total - 1], prune_norm=True)
        self.model: Any = freeze(model)
        self.patch_size = model.patch_embed.patch_size[0]
        self.embed_dims = model.embed_dim
        count = len(self.out_indices or [0])
        self.out_channels = (self.embed_dims,) * count
        self.strides = (self.stride,) * count
        self._last = total - 1 if self.out_indices is None else self.out_indices[-1]
        self._trains = unfreeze_stages(
            self, _list_stages(model), frozen_stages, used=self._last + 1
        )

    def init_weights(self) -> None:
        """Leave the weights alone."""

    def train(self, mode: bool = True) -> TimmViTBackbone:
        """Stay in eval mode whatever ``mode`` is."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Compute the patch tokens after the last kept block, or after several.

        Args:
            images: Normalized images of any size, ``[B, 3, H, W]``; with ImageNet's
                mean and deviation, which are DINOv2's and SAM's too.

        Returns:
            ``[B, C, H // 16, W // 16]``, without class token, at least 1 x 1. With
            ``out_indices`` a tuple of such maps.
        """
        size = [
            max(length // self.stride, 1) * self.patch_size
            for length in images.shape[-2:]
        ]
        with gradients(self._trains):
            if size != list(images.shape[-2:]):
                images = F.interpolate(
                    images, size, mode='bilinear', align_corners=False
                )
            maps = self.model.forward_intermediates(
                images,
                indices=list(self.out_indices or [self._last]),
                stop_early=True,
                intermediates_only=True,
            )
            maps = tuple(x.contiguous() for x in maps)
        return maps[0] if self.out_indices is None else maps


def _list_stages(model: Any) -> list[list[Any]]:
    """Return what makes the tokens of a ViT of timm, and then each of its blocks."""
    before = [
        piece
        for name in STEM
        if isinstance(piece := getattr(model, name, None), (nn.Module, nn.Parameter))
    ]
    return [before, *([block] for block in model.blocks)]


def _create_vit(model_name: str, pretrained: str | None) -> Any:
    """Build a ViT with all blocks; see :class:`TimmViTBackbone`."""
    if '.' in model_name or not timm.is_model(model_name):
        raise ValueError(
            f'Unknown model {model_name!r}; timm.list_models("*vit*") shows the names. '
            'The tag of the weights goes into pretrained.'
        )
    arguments = ANY_SIZE.get(timm.models.model_entrypoint(model_name).__module__)
    if arguments is None:
        raise ValueError(f'{model_name!r} is no plain ViT of timm and none of SAM.')
    if pretrained is None:
        return timm.create_model(model_name, **arguments)
    if Path(pretrained).is_file():
        state = timm.models.load_state_dict(str(pretrained), weights_only=True)
        model: Any = timm.create_model(
            model_name,
            pretrained=True,
            pretrained_cfg_overlay=dict(state_dict=state),
            **arguments,
        )
        # They hold the whole file.
        model.pretrained_cfg = model.default_cfg = None
        return model
    if Path(pretrained).suffix or '/' in str(pretrained):
        raise FileNotFoundError(f'Weights {str(pretrained)!r} do not exist.')
    tags = [name.partition('.')[2] for name in timm.list_pretrained(f'{model_name}.*')]
    if str(pretrained) not in tags:
        raise ValueError(
            f'{model_name!r} has no weights {pretrained!r}; timm knows {tags}, and a '
            'local file or None work too.'
        )
    return timm.create_model(f'{model_name}.{pretrained}', pretrained=True, **arguments)
