"""One stage of the light decoder."""

from __future__ import annotations

from torch import Tensor, nn

from ..ops import (
    layer_norm_float32,
    make_masks,
    mask_sum,
    resize_masks,
    self_attention,
)
from .dynamic_depthwise_attention import DynamicDepthwiseAttention
from .init import init_linear


class DecoderStage(nn.Module):
    """Refine object kernels and masks once, by dynamic depthwise attention (DDA).

    Args:
        channels: Width C of kernels and image features.
        num_heads: Heads of the attention.
        ffn_channels: Hidden width of the feed-forward network.

    Source: EOV-Seg, lightweight decoder, equation 2; norms and the second dynamic
    attention from its code.
    """

    def __init__(
        self, channels: int, *, num_heads: int = 8, ffn_channels: int = 2048
    ) -> None:
        super().__init__()
        self._build_interaction(channels, num_heads)
        self.self_attention = nn.MultiheadAttention(
            channels, num_heads, batch_first=True
        )
        self.ffn = nn.Sequential(
            nn.Linear(channels, ffn_channels),
            nn.ReLU(),
            nn.Linear(ffn_channels, channels),
        )
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

    def _build_interaction(self, channels: int, num_heads: int) -> None:
        """Build what :meth:`interact` needs besides ``kernels_norm``."""
        self.refine_features = DynamicDepthwiseAttention(channels)
        self.refine_kernels = DynamicDepthwiseAttention(channels)
        self.features_norm = nn.LayerNorm(channels)

    def interact(self, kernels: Tensor, masks: Tensor, features: Tensor) -> Tensor:
        """Let object kernels gather what is inside their masks.

        Args:
            kernels: ``[B, N, C]``.
            masks: bool, ``[B, N, h, w]``.
            features: ``[B, C, h, w]``.

        Returns:
            ``[B, N, C]``.
        """
        regions = mask_sum(features, masks)  # a sum, not a mean
        regions = regions + self.refine_features(kernels, regions)
        regions = layer_norm_float32(regions, self.features_norm).to(features.dtype)
        return self.kernels_norm(regions + self.refine_kernels(kernels, regions))

    def forward(
        self,
        kernels: Tensor,
        mask_logits: Tensor,
        pixels: Tensor,
        level: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run the stage.

        Args:
            kernels: Object kernels, ``[B, N, C]``.
            mask_logits: Masks of the stage before, ``[B, N, h, w]``.
            pixels: Image features that masks are made from, ``[B, C, h, w]``.
            level: Image features to interact with, ``[B, C, h', w']``; None means
                ``pixels``.

        Returns:
            New object kernels ``[B, N, C]`` and mask logits ``[B, N, h, w]``.
        """
        level = pixels if level is None else level
        # No gradient through the mask.
        masks = resize_masks(mask_logits.detach(), level.shape[-2:]) > 0
        kernels = self.interact(kernels, masks, level)
        attended = self_attention(kernels, self.self_attention)
        kernels = self.attention_norm(kernels + attended)
        kernels = self.ffn_norm(kernels + self.ffn(kernels))
        return kernels, make_masks(self.mask_kernels(kernels), pixels)
