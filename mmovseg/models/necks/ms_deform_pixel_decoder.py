"""The pixel decoder of Mask2Former and FC-CLIP."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..layers import check_maps, read_out_indices, sine_position
from ..ops import at_least_float32, ms_deform_attn, without_autocast


@MODELS.register_module()
class MSDeformPixelDecoder(BaseModule):
    """Let three levels exchange what they see, then add them to the finest one.

    Args:
        in_channels: Channels of the backbone's four maps, finest first.
        channels: Width C of all levels and of the mask features, a multiple of 32
            (groups of the norms) and of ``num_heads``.
        num_layers: Encoder layers.
        num_heads: Heads of the deformable attention.
        num_points: Points that each head reads per level.
        ffn_channels: Width inside the feed-forward networks.
        out_indices: The levels that are returned, of 0 (the mask features) to 3 (the
            coarsest). None returns all in the order of FC-CLIP: mask features, then
            the coarsest level first. A neck of another package's model needs it.
        init_cfg: MMEngine's initialization config.

    Raises:
        ValueError: If there are fewer than two maps, a width does not divide, or there
            is no such level.

    Source: Mask2Former (arXiv 2112.01527), appendix; FC-CLIP (arXiv 2308.02487),
    section 3.3. Computed in float32, also under autocast, as in the released code.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        channels: int = 256,
        num_layers: int = 6,
        num_heads: int = 8,
        num_points: int = 4,
        ffn_channels: int = 1024,
        out_indices: Sequence[int] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = tuple(in_channels)
        self.out_indices = None
        if len(in_channels) < 2:
            raise ValueError(
                'MSDeformPixelDecoder needs at least two maps, got in_channels '
                f'{tuple(in_channels)}.'
            )
        for divisor in (32, num_heads):
            if channels % divisor:
                raise ValueError(
                    f'channels must be a multiple of {divisor}, got {channels}.'
                )
        if out_indices is not None:
            self.out_indices = read_out_indices(
                self, out_indices, len(in_channels), 'level'
            )
        num_levels = len(in_channels) - 1
        self.channels = channels
        self.input_projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, channels, 1), nn.GroupNorm(32, channels))
            for width in reversed(in_channels[1:])
        )
        self.level_position = nn.Parameter(torch.empty(num_levels, channels))
        self.layers = nn.ModuleList(
            DeformableEncoderLayer(
                channels,
                num_heads,
                num_levels=num_levels,
                num_points=num_points,
                ffn_channels=ffn_channels,
            )
            for _ in range(num_layers)
        )
        self.lateral = nn.Sequential(
            nn.Conv2d(in_channels[0], channels, 1, bias=False),
            nn.GroupNorm(32, channels),
        )
        self.output = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(32, channels),
            nn.ReLU(inplace=True),
        )
        self.mask_features = nn.Conv2d(channels, channels, 1)
        nn.init.normal_(self.level_position)
        projection: Any
        for projection in self.input_projections:
            nn.init.xavier_uniform_(projection[0].weight)
            nn.init.zeros_(projection[0].bias)
        conv: Any
        for conv in (self.lateral[0], self.output[0], self.mask_features):
            nn.init.kaiming_uniform_(conv.weight, a=1)
        nn.init.zeros_(self.mask_features.bias)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Decode the maps of a backbone.

        Args:
            features: ``[B, C_i, H_i, W_i]``, finest first.

        Returns:
            Mask features ``[B, C, H_0, W_0]``, then the levels that a decoder attends
            to, ``[B, C, H_i, W_i]``, coarsest first. With ``out_indices`` those of
            the list, finest first.

        Raises:
            TypeError: If it is a single map.
            ValueError: If the maps are others than the decoder was built for.
        """
        check_maps(self, features, self.in_channels)
        with without_autocast(features[0].device):
            finest, *others = (at_least_float32(x) for x in features)
            levels = [
                projection(x)
                for projection, x in zip(
                    self.input_projections, reversed(others), strict=True
                )
            ]
            levels = self._encode(levels)
            upsampled = F.interpolate(
                levels[-1], finest.shape[-2:], mode='bilinear', align_corners=False
            )
            merged = self.output(self.lateral(finest) + upsampled)
            mask_features = self.mask_features(merged)
        if self.out_indices is None:
            return mask_features, *levels
        rising = [mask_features, *reversed(levels)]
        return tuple(rising[i] for i in self.out_indices)

    def _encode(self, levels: list[Tensor]) -> list[Tensor]:
        """Run the encoder layers over the positions of all levels together."""
        sizes = [(x.shape[-2], x.shape[-1]) for x in levels]
        tokens = torch.cat([x.flatten(2).transpose(1, 2) for x in levels], 1)
        position = torch.cat(
            [
                sine_position(size, self.channels, device=tokens.device) + embedding
                for size, embedding in zip(sizes, self.level_position, strict=True)
            ]
        ).to(tokens.dtype)
        centers = torch.cat([_centers(size, tokens) for size in sizes])
        for layer in self.layers:
            tokens = layer(tokens, position, centers, sizes)
        lengths = [height * width for height, width in sizes]
        return [
            x.transpose(1, 2).unflatten(-1, size)
            for x, size in zip(tokens.split(lengths, 1), sizes, strict=True)
        ]


class DeformableEncoderLayer(nn.Module):
    """Deformable self-attention over all levels and a feed-forward network, post-norm.

    Args:
        channels: Width C of the tokens.
        num_heads: Heads of the attention.
        num_levels: Number of levels.
        num_points: Points that each head reads per level.
        ffn_channels: Width inside the feed-forward network.

    Source: Deformable DETR (arXiv 2010.04159).
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        *,
        num_levels: int,
        num_points: int,
        ffn_channels: int,
    ) -> None:
        super().__init__()
        self.shape = (num_heads, num_levels, num_points)
        samples = math.prod(self.shape)
        self.sampling_offsets = nn.Linear(channels, samples * 2)
        self.attention_weights = nn.Linear(channels, samples)
        self.value_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.ffn = nn.Sequential(
            nn.Linear(channels, ffn_channels),
            nn.ReLU(inplace=True),
            nn.Linear(ffn_channels, channels),
        )
        self.norm2 = nn.LayerNorm(channels)
        self._init_weights()

    def _init_weights(self) -> None:
        """Let head k look in direction k, point p at a distance of p + 1 pixels."""
        num_heads, num_levels, num_points = self.shape
        linear: Any
        for linear in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        for linear in (self.ffn[0], self.ffn[2]):
            nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        nn.init.zeros_(self.sampling_offsets.weight)
        angle = torch.arange(num_heads) * (2 * math.pi / num_heads)
        direction = torch.stack([angle.cos(), angle.sin()], -1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        distance = torch.arange(1, num_points + 1)[:, None]
        offsets = (direction[:, None, None] * distance).expand(-1, num_levels, -1, -1)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.flatten())

    def forward(
        self,
        tokens: Tensor,
        position: Tensor,
        centers: Tensor,
        sizes: Sequence[tuple[int, int]],
    ) -> Tensor:
        """Update the tokens of all levels.

        Args:
            tokens: The flattened levels, ``[B, L, C]``.
            position: Position and level embeddings, ``[L, C]``.
            centers: Place (x, y) of each token in its level, in [0, 1], ``[L, 2]``.
            sizes: Height and width of each level.

        Returns:
            ``[B, L, C]``.
        """
        query = tokens + position
        offsets = self.sampling_offsets(query).unflatten(-1, (*self.shape, 2))
        weights = self.attention_weights(query).unflatten(-1, (self.shape[0], -1))
        weights = weights.softmax(-1).unflatten(-1, self.shape[1:])
        # An offset of one is a pixel of the level that is read.
        pixel = tokens.new_tensor([(1 / width, 1 / height) for height, width in sizes])
        locations = centers[:, None, None, None] + offsets * pixel[:, None]
        values = self.value_proj(tokens).unflatten(-1, (self.shape[0], -1))
        update = ms_deform_attn(values, sizes, locations, weights)
        tokens = self.norm1(tokens + self.output_proj(update))
        return self.norm2(tokens + self.ffn(tokens))


def _centers(size: tuple[int, int], like: Tensor) -> Tensor:
    """Return the centers (x, y) of a map's pixels in [0, 1], ``[H * W, 2]``."""
    height, width = size
    y = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
    x = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
    return torch.stack(
        [x.expand(height, -1), y[:, None].expand(-1, width)], -1
    ).flatten(0, 1)
