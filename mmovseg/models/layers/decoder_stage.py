"""One stage of the light decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..functional import mask_sum
from .dynamic_depthwise_attention import DynamicDepthwiseAttention, wide_layer_norm
from .init import init_linear


class DecoderStage(nn.Module):
    """Refine object kernels and masks once.

    Args:
        channels: Width C of kernels and image features.
        num_heads: Heads of the self-attention.
        ffn_channels: Hidden width of the feed-forward network.

    Source: EOV-Seg, lightweight decoder, equation 2; norms and the second dynamic
    attention from its code.
    """

    def __init__(
        self, channels: int, *, num_heads: int = 8, ffn_channels: int = 2048
    ) -> None:
        super().__init__()
        self.refine_features = DynamicDepthwiseAttention(channels)
        self.refine_kernels = DynamicDepthwiseAttention(channels)
        self.self_attention = nn.MultiheadAttention(
            channels, num_heads, batch_first=True
        )
        self.ffn = nn.Sequential(
            nn.Linear(channels, ffn_channels),
            nn.ReLU(),
            nn.Linear(ffn_channels, channels),
        )
        self.features_norm = nn.LayerNorm(channels)
        self.kernels_norm = nn.LayerNorm(channels)
        self.attention_norm = nn.LayerNorm(channels)
        self.ffn_norm = nn.LayerNorm(channels)
        self.mask_kernels = nn.Sequential(
            nn.Linear(channels, channels, bias=False),
            nn.LayerNorm(channels),
            nn.ReLU(),
            nn.Linear(channels, channels),
        )
        self.apply(init_linear)

    def forward(
        self, kernels: Tensor, mask_logits: Tensor, pixels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run the stage.

        Args:
            kernels: Object kernels, ``[B, N, C]``.
            mask_logits: Masks of the stage before, ``[B, N, h, w]``.
            pixels: Image features, ``[B, C, h, w]``.

        Returns:
            New object kernels ``[B, N, C]`` and mask logits ``[B, N, h, w]``.
        """
        # A sum, not a mean, and no gradient through the mask.
        regions = mask_sum(pixels, mask_logits.detach() > 0)
        regions = regions + self.refine_features(kernels, regions)
        regions = wide_layer_norm(self.features_norm, regions).to(pixels.dtype)
        kernels = self.kernels_norm(regions + self.refine_kernels(kernels, regions))
        attended, _ = self.self_attention(kernels, kernels, kernels, need_weights=False)
        kernels = self.attention_norm(kernels + attended)
        kernels = self.ffn_norm(kernels + self.ffn(kernels))
        masks = torch.einsum('bnc,bchw->bnhw', self.mask_kernels(kernels), pixels)
        return kernels, masks
