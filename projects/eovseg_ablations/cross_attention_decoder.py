"""Cross-attention in the place of dynamic depthwise attention (CA, table 5)."""

from __future__ import annotations

from torch import Tensor, nn

from mmovseg.models.decoders.lite_decoder import DecoderStage
from mmovseg.models.layers import init_linear, sine_position
from mmovseg.registry import MODELS

from .multi_scale_decoder import MultiScaleDecoder


@MODELS.register_module(force=True)  # the core says where it is
class CrossAttentionDecoder(MultiScaleDecoder):
    """A decoder whose stages attend to positions, of one map or of several in turns.

    It takes the arguments of :class:`~mmovseg.models.LiteDecoder`.

    Source: EOV-Seg, table 5; a stand-in, see :class:`CrossAttentionStage`.
    """

    def __init__(
        self,
        head: dict,
        spatial_channels: int | None = None,
        *,
        embed_channels: int,
        channels: int = 256,
        num_stages: int = 3,
        num_queries: int = 100,
        spatial_stride: int = 16,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            head,
            spatial_channels,
            embed_channels=embed_channels,
            channels=channels,
            num_stages=num_stages,
            num_queries=num_queries,
            spatial_stride=spatial_stride,
            init_cfg=init_cfg,
        )
        self.stages = nn.ModuleList(CrossAttentionStage(channels) for _ in self.stages)


class CrossAttentionStage(DecoderStage):
    """Refine object kernels and masks once, by masked cross-attention (CA).

    Args:
        channels: Width C of kernels and mask features, a multiple of 4.
        num_heads: Heads of both attentions.
        ffn_channels: Hidden width of the feed-forward network.

    Source: Mask2Former (arXiv 2112.01527), section 3.2.1, in the place of dynamic
    depthwise attention. Deviates: EOV-Seg's table 5 says no more than "CA", and its
    parameter counts follow from no layer of this width, so this is a stand-in.
    """

    def __init__(
        self, channels: int, *, num_heads: int = 8, ffn_channels: int = 2048
    ) -> None:
        super().__init__(channels, num_heads=num_heads, ffn_channels=ffn_channels)
        del self.refine_features, self.refine_kernels, self.features_norm
        self.cross_attention = nn.MultiheadAttention(
            channels, num_heads, batch_first=True
        )
        self.cross_attention.apply(init_linear)

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
