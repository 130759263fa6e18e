"""One stage of the light decoder, with cross-attention."""

from __future__ import annotations

from torch import Tensor, nn

from .decoder_stage import DecoderStage
from .sine_position import sine_position


class CrossAttentionStage(DecoderStage):
    """Refine object kernels and masks once, by masked cross-attention (CA).

    Args:
        channels: Width C of kernels and image features, a multiple of 4.
        num_heads: Heads of both attentions.
        ffn_channels: Hidden width of the feed-forward network.

    Source: Mask2Former (arXiv 2112.01527), section 3.2.1, in the place of dynamic
    depthwise attention. Deviates: EOV-Seg's table 5 says no more than "CA", and its
    parameter counts follow from no layer of this width, so this is a stand-in.
    """

    def _build_interaction(self, channels: int, num_heads: int) -> None:
        self.cross_attention = nn.MultiheadAttention(
            channels, num_heads, batch_first=True
        )

    def interact(self, kernels: Tensor, masks: Tensor, features: Tensor) -> Tensor:
        """Let object kernels attend to what is inside their masks.

        Args:
            kernels: ``[B, N, C]``.
            masks: bool, ``[B, N, h, w]``; an empty one attends everywhere.
            features: ``[B, C, h, w]``.

        Returns:
            ``[B, N, C]``.
        """
        size = (features.shape[-2], features.shape[-1])
        values = features.flatten(2).transpose(1, 2)  # [B, hw, C]
        position = sine_position(size, values.shape[-1], device=values.device)
        blocked = ~masks.flatten(2)  # [B, N, hw]
        blocked &= ~blocked.all(-1, keepdim=True)
        attended, _ = self.cross_attention(
            kernels,
            values + position.to(values.dtype),
            values,
            attn_mask=blocked.repeat_interleave(self.cross_attention.num_heads, 0),
            need_weights=False,
        )
        return self.kernels_norm(kernels + attended)
