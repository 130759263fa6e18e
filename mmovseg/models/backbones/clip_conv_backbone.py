"""Frozen convolutional CLIP image towers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..clip import create_clip
from ..layers import read_out_indices, refuse_init_cfg, unfreeze_stages
from ..ops import (
    FoldedNorms,
    attention_pool,
    gradients,
    keep_layout,
    mask_pool,
    resize_masks,
    to_channels_last,
)

STEM = ('conv', 'bn')  # what is numbered before the first stage of a ResNet


@MODELS.register_module()
class CLIPConvBackbone(BaseModule):
    """CLIP ResNet or ConvNeXt as a feature pyramid, frozen unless told otherwise.

    Channels and strides are measured on the model, so any ResNet of open_clip and
    any timm tower with four stages works without a table of names.

    Args:
        model_name: A name of open_clip, such as ``'RN50'``.
        pretrained: A tag of open_clip, a local file, or None (random, no network).
        channels_last: Leave the maps in the layout that they are computed in on a
            CPU, which our neck goes on with. By default they are copied: some
            deformable convolutions (mmcv's) misread that layout silently.
        out_indices: The maps that are returned, of 0 (stride 4) to 3 (stride 32).
            Our own models need the last one.
        frozen_stages: The stem and this many stages stay frozen, the others train;
            -1 freezes nothing, None everything. Batch norms keep their statistics,
            and what pools to an embedding stays frozen.
        init_cfg: Refused; the tower loads what ``pretrained`` names.

    Attributes:
        out_channels: Channels of the returned maps.
        strides: Strides of the returned maps, in pixels.
        embed_dims: Width of CLIP's shared embedding.
        is_resnet: True for CLIP ResNets, which pool by attention.

    Raises:
        ValueError: If the model is unknown, its image tower has no four stages, or
            there are no such maps or stages.

    Source: EOV-Seg, feature extractor; DenseCLIP-like use after FC-CLIP.
    """

    visual: Any  # open_clip's towers have no type of their own

    def __init__(
        self,
        model_name: str,
        pretrained: str | None = None,
        *,
        channels_last: bool = False,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        refuse_init_cfg(self, init_cfg)
        self.channels_last = channels_last
        self.visual = create_clip(model_name, pretrained).visual
        self.is_resnet = hasattr(self.visual, 'attnpool')
        if not self.is_resnet and not hasattr(self.visual, 'trunk'):
            raise ValueError(
                f'{model_name!r} has no convolutional image tower; use '
                'CLIPViTBackbone for it.'
            )
        # The maps need no pooling.
        self._folded = FoldedNorms(without=['attnpool']) if self.is_resnet else None
        self.out_indices: tuple[int, ...] = (0, 1, 2, 3)
        self._trains = False
        try:
            maps = self(torch.zeros(1, 3, 64, 64))
            self._pooled_channels = maps[-1].shape[1]
            masks = maps[-1].new_ones(1, 1, 1, 1)
            self.embed_dims = self.pool_masks(maps[-1], masks).shape[-1]
            self.out_channels = tuple(x.shape[1] for x in maps)
            self.strides = tuple(64 // x.shape[-1] for x in maps)
        except (AssertionError, AttributeError, RuntimeError, ValueError) as error:
            raise ValueError(
                f'The image tower of {model_name!r} gives no feature pyramid for an '
                f'image of 64x64; ResNets and timm ConvNeXts do: {error}'
            ) from error
        if self.strides != (4, 8, 16, 32):
            raise ValueError(
                f'The image tower of {model_name!r} has maps of strides '
                f'{self.strides}, not (4, 8, 16, 32).'
            )
        self.out_indices = read_out_indices(self, out_indices, 4, 'map')
        self.out_channels = tuple(self.out_channels[i] for i in self.out_indices)
        self.strides = tuple(self.strides[i] for i in self.out_indices)
        self._trains = unfreeze_stages(
            self,
            self._list_stages(),
            frozen_stages,
            used=self.out_indices[-1] + 1,
        )

    def _list_stages(self) -> list[list[nn.Module]]:
        """Return the modules of the stem and of each stage."""
        visual = self.visual
        if not self.is_resnet:
            return [[visual.trunk.stem], *([x] for x in visual.trunk.stages)]
        stem = [x for name, x in visual.named_children() if name[:-1] in STEM]
        return [stem, *([getattr(visual, f'layer{i}')] for i in (1, 2, 3, 4))]

    def init_weights(self) -> None:
        """Leave CLIP's weights alone (MMEngine would initialize timm's children)."""

    def train(self, mode: bool = True) -> CLIPConvBackbone:
        """Stay in eval mode whatever ``mode`` is: norms keep their statistics."""
        return super().train(False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps; those of a ResNet without its norms, in inference.

        Args:
            images: Normalized images, ``[B, 3, H, W]``.

        Returns:
            Maps ``[B, C_i, H / s_i, W / s_i]``, finest first, contiguous unless
            ``channels_last``.
        """
        # A ResNet counts its stem as the first of five maps.
        indices = [i + self.is_resnet for i in self.out_indices]
        visual: Any = self.visual
        if self._folded:
            visual = self._folded.of(self.visual, images)
        with gradients(self._trains):
            output = visual.forward_intermediates(
                to_channels_last(images),
                indices=indices,
                stop_early=True,
                intermediates_only=True,
            )
        maps = tuple(output['image_intermediates'])
        if self.channels_last:
            return tuple(keep_layout(x) for x in maps)
        return tuple(x.contiguous() for x in maps)

    @torch.no_grad()
    def pool_masks(self, features: Tensor, mask_logits: Tensor) -> Tensor:
        """Embed regions as CLIP embeds images, from the map of stride 32.

        Args:
            features: The map of index 3, ``[B, C, h, w]``.
            mask_logits: ``[B, N, h', w']``, resized to the map.

        Returns:
            Region embeddings, ``[B, N, D]``; for ResNets meaningless where the
            resized mask has no positive pixel.

        Raises:
            ValueError: If it is another map.

        Source: EOV-Seg, appendix, inference details; pooling from its code.
        """
        if features.shape[1] != self._pooled_channels:
            raise ValueError(
                f'CLIPConvBackbone pools its map of stride 32 with '
                f'{self._pooled_channels} channels, got one with {features.shape[1]}: '
                f'out_indices is {self.out_indices} and has to end with 3.'
            )
        if self.is_resnet:
            masks = resize_masks(mask_logits, features.shape[-2:]) > 0
            return attention_pool(features, masks, self.visual.attnpool)
        pooled = mask_pool(features, mask_logits)  # [B, N, C]
        batch, queries, channels = pooled.shape
        pooled = pooled.reshape(-1, channels, 1, 1)
        pooled = self.visual.head(self.visual.trunk.forward_head(pooled))
        return pooled.reshape(batch, queries, -1)
