"""Class-agnostic masks from a network of their own."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..layers import (
    FPNPixelDecoder,
    TransformerDecoderLayer,
    measure_channels,
    sine_position,
)
from ..ops import make_masks
from ..structures import MaskProposals

NUM_HEADS = 8


@MODELS.register_module()
class MaskFormerProposals(BaseModule):
    """MaskFormer on an own backbone: every query becomes a mask.

    Args:
        backbone: Config of a backbone with maps of strides 4, 8, 16 and 32. Their
            channels are measured.
        num_queries: N, the number of proposals.
        channels: C, width of pixel decoder and transformer, a multiple of 32.
        num_layers: Decoder layers of the transformer.
        ffn_channels: Width inside their feed-forward networks.
        dropout: Probability, inside the transformer.
        embed_channels: D, the width of the text embeddings, to embed the queries for
            classification too; None leaves that branch out.
        init_cfg: MMEngine's initialization config.

    Raises:
        ValueError: If ``channels`` or ``num_layers`` is out of range, or the backbone
            has other maps.

    Source: DeOP, section 3, and its code; MaskFormer (arXiv 2107.06278) without
    encoder layers.
    """

    def __init__(
        self,
        backbone: dict,
        num_queries: int = 100,
        *,
        channels: int = 256,
        num_layers: int = 6,
        ffn_channels: int = 2048,
        dropout: float = 0.1,
        embed_channels: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if channels < 32 or channels % 32:
            raise ValueError(f'channels must be a multiple of 32, got {channels}.')
        if num_layers < 1:
            raise ValueError(f'num_layers must be at least 1, got {num_layers}.')
        self.embed_channels = embed_channels
        self.backbone = MODELS.build(backbone)
        in_channels = measure_channels(self.backbone)
        self.pixel_decoder = FPNPixelDecoder(in_channels, channels)
        self.input_proj = nn.Conv2d(in_channels[-1], channels, 1)
        self.queries = nn.Embedding(num_queries, channels)
        self.layers = nn.ModuleList(
            TransformerDecoderLayer(
                channels, NUM_HEADS, ffn_channels=ffn_channels, dropout=dropout
            )
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.mask_embed = nn.Sequential(
            nn.Linear(channels, channels),
            nn.ReLU(inplace=True),
            nn.Linear(channels, channels),
            nn.ReLU(inplace=True),
            nn.Linear(channels, channels),
        )
        self.class_embed = None
        if embed_channels is not None:
            # Deviates: the paper removes this branch, the released training keeps it.
            self.class_embed = nn.Sequential(
                nn.Linear(channels, 4 * channels),
                nn.ReLU(inplace=True),
                nn.Linear(4 * channels, embed_channels),
            )
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.kaiming_uniform_(self.input_proj.weight, a=1)
        nn.init.zeros_(self.input_proj.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> list[MaskProposals]:
        """Propose masks.

        Padding is treated as image, like in the released model.

        Args:
            images: Normalized images, ``[B, 3, H, W]``; H and W multiples of 32.

        Returns:
            In training one entry per decoder layer, else the last one alone. Masks are
            ``[B, N, H / 4, W / 4]``, region embeddings ``[B, N, D]`` or None.
        """
        features = self.backbone(images)
        mask_features = self.pixel_decoder(features)
        memory = self.input_proj(features[-1])
        size, channels = memory.shape[-2:], memory.shape[1]
        values = memory.flatten(2).transpose(1, 2)  # [B, L, C]
        position = sine_position(size, channels, device=memory.device)
        keys = values + position.to(values.dtype)
        query_pos = self.queries.weight.expand(images.shape[0], -1, -1)
        target = torch.zeros_like(query_pos)
        proposals = []
        for index, layer in enumerate(self.layers):
            target = layer(target, query_pos, keys, values)
            if self.training or index == len(self.layers) - 1:
                proposals.append(self._propose(self.norm(target), mask_features))
        return proposals

    def _propose(self, queries: Tensor, mask_features: Tensor) -> MaskProposals:
        kernels = self.mask_embed(queries)
        mask_logits = make_masks(kernels, mask_features)
        if self.class_embed is None:
            return MaskProposals(mask_logits)
        return MaskProposals(mask_logits, self.class_embed(queries))
