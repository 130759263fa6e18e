"""The light decoder of EOV-Seg: stages of dynamic attention, and the spatial branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..layers import init_linear
from ..ops import (
    MapToPool,
    convolve_channels,
    layer_norm_float32,
    make_masks,
    mask_sum,
    self_attention,
    upsample_to_pool,
)
from ..structures import MaskPrediction, TextEmbeddings


@MODELS.register_module()
class LiteDecoder(BaseModule):
    """Refine learned object kernels into masks and class logits, stage by stage.

    Args:
        head: Config of the region embedding head, built once per stage.
        spatial_channels: Channels S of the spatial features; None for a model without.
        embed_channels: Width D of the text embeddings.
        channels: Width C of mask features and object kernels.
        num_stages: Number of stages, each with its own weights.
        num_queries: Number N of object kernels.
        spatial_stride: Stride of the spatial features in pixels; they are upsampled to
            stride 4.
        init_cfg: MMEngine's initialization config.

    Raises:
        ValueError: If the stride of the spatial features is none of 4, 8, 16 and 32.

    Example:
        >>> import torch
        >>> from mmovseg.models.structures import TextEmbeddings
        >>> head = dict(type='MaskEmbedHead')
        >>> decoder = LiteDecoder(head, embed_channels=16, channels=8, num_queries=5)
        >>> text = TextEmbeddings(torch.eye(16)[:3], torch.tensor([0, 1, 2]))
        >>> stages = decoder(torch.rand(1, 8, 4, 4), None, text)
        >>> stages[-1].class_logits.shape, stages[-1].mask_logits.shape
        (torch.Size([1, 5, 3]), torch.Size([1, 5, 4, 4]))

    Source: EOV-Seg, lightweight decoder and spatial awareness extractor.
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
        super().__init__(init_cfg)
        self.object_kernels = nn.Embedding(num_queries, channels)
        self.spatial_upsample = None
        if spatial_channels is not None:
            self.spatial_upsample = SpatialUpsample(spatial_channels, spatial_stride)
        self.stages = nn.ModuleList(DecoderStage(channels) for _ in range(num_stages))
        widths = dict(
            channels=channels,
            spatial_channels=spatial_channels,
            embed_channels=embed_channels,
        )
        self.heads = nn.ModuleList(
            MODELS.build(head, default_args=widths) for _ in range(num_stages)
        )

    def forward(
        self,
        mask_features: Tensor | Sequence[Tensor],
        spatial: Tensor | None,
        text: TextEmbeddings,
        *,
        all_stages: bool = True,
    ) -> list[MaskPrediction]:
        """Predict masks and class logits.

        Args:
            mask_features: Of stride 4, ``[B, C, h, w]``; of several maps the first.
            spatial: Spatial features of stride 16 (``spatial_stride``), ``[B, S,
                h / 4, w / 4]``; None for a model without.
            text: The vocabulary.
            all_stages: False classifies the last stage only, as inference needs.

        Returns:
            One prediction per stage, or the last stage's alone; best last.
        """
        # A neck of several maps starts with the one of stride 4.
        if not isinstance(mask_features, Tensor):
            mask_features = mask_features[0]
        # Bring the spatial features to the stride of the mask features.
        fine = self.upsample_spatial(spatial, once=not all_stages)
        # The learned object kernels, multiplied with all positions, are the first
        # masks.
        kernels, mask_logits = self.first_masks(mask_features)
        predictions = []
        for index, stage in enumerate(self.stages):
            # A stage looks inside its masks, and makes new kernels and masks of it.
            kernels, mask_logits = stage(kernels, mask_logits, mask_features)
            # Its head embeds what is inside the new masks, and names it.
            if all_stages or index == len(self.stages) - 1:
                predictions.append(
                    self.classify(
                        index, mask_features, fine, mask_logits, kernels, text
                    )
                )
        return predictions

    def upsample_spatial(
        self, spatial: Tensor | None, *, once: bool
    ) -> Tensor | MapToPool | None:
        """Bring spatial features to stride 4, ``[B, S, h, w]``.

        Args:
            spatial: ``[B, S, h / 4, w / 4]``, or None.
            once: They are pooled by one head alone.
        """
        if spatial is None or self.spatial_upsample is None:
            return None
        return self.spatial_upsample.for_pooling(spatial, once=once)

    def first_masks(self, mask_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return object kernels ``[B, N, C]`` and mask logits ``[B, N, h, w]``."""
        kernels = self.object_kernels.weight.expand(mask_features.shape[0], -1, -1)
        return kernels, make_masks(kernels, mask_features)

    def classify(
        self,
        index: int,
        mask_features: Tensor,
        spatial: Tensor | MapToPool | None,
        mask_logits: Tensor,
        kernels: Tensor,
        text: TextEmbeddings,
    ) -> MaskPrediction:
        """Compare the region embeddings of stage ``index`` with the names."""
        head: Any = self.heads[index]
        region_embeds = head(mask_features, spatial, mask_logits, kernels)
        # CLIP's bound on the factor of the cosine.
        scale = head.logit_scale.exp().clamp(max=100)
        return MaskPrediction(text.logits(region_embeds, scale), mask_logits)


class DecoderStage(nn.Module):
    """Refine object kernels and masks once, by dynamic depthwise attention (DDA).

    Args:
        channels: Width C of kernels and mask features.
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
        self.features_norm = nn.LayerNorm(channels)
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

    def forward(
        self, kernels: Tensor, mask_logits: Tensor, mask_features: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run the stage.

        Args:
            kernels: Object kernels, ``[B, N, C]``.
            mask_logits: Masks of the stage before, ``[B, N, h, w]``.
            mask_features: ``[B, C, h, w]``.

        Returns:
            New object kernels ``[B, N, C]`` and mask logits ``[B, N, h, w]``.
        """
        # No gradient through the masks, which are hard.
        kernels = self.interact(kernels, mask_logits.detach() > 0, mask_features)
        return self.refine(kernels, mask_features)

    def interact(self, kernels: Tensor, masks: Tensor, features: Tensor) -> Tensor:
        """Let object kernels gather what is inside their masks.

        Args:
            kernels: ``[B, N, C]``.
            masks: bool, ``[B, N, h, w]``.
            features: ``[B, C, h, w]``.

        Returns:
            ``[B, N, C]``.
        """
        # Sum (not average) the features inside each mask.
        gathered = mask_sum(features, masks)  # [B, N, C]
        # Equation 2, first for what was gathered, then for the kernel.
        gathered = gathered + self.refine_features(kernels, gathered)
        gathered = layer_norm_float32(gathered, self.features_norm).to(features.dtype)
        return self.kernels_norm(gathered + self.refine_kernels(kernels, gathered))

    def refine(self, kernels: Tensor, mask_features: Tensor) -> tuple[Tensor, Tensor]:
        """Let object kernels see each other, then make masks of them."""
        # Self-attention and a feed-forward network, each added and normed.
        attended = self_attention(kernels, self.self_attention)
        kernels = self.attention_norm(kernels + attended)
        kernels = self.ffn_norm(kernels + self.ffn(kernels))
        # A mask is the product of its kernel, projected, with every position.
        return kernels, make_masks(self.mask_kernels(kernels), mask_features)


class DynamicDepthwiseAttention(nn.Module):
    """Convolve each query's feature along its channels with weights made by the query.

    Args:
        channels: Width C.
        kernel_size: Number of weights, odd.

    Source: EOV-Seg, equation 2.
    """

    def __init__(self, channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.taps = nn.Linear(channels, kernel_size)  # a name of checkpoints
        self.norm = nn.LayerNorm(channels)

    def forward(self, queries: Tensor, features: Tensor) -> Tensor:
        """Mix features by queries, both ``[B, N, C]``, to ``[B, N, C]``."""
        mixed = convolve_channels(features, self.taps(queries))
        return layer_norm_float32(mixed, self.norm).to(queries.dtype)


class SpatialUpsample(nn.Sequential):
    """Double a map up to three times by transposed convolutions.

    Args:
        channels: Channels S of the map, kept.
        stride: Of the map in pixels: 4, 8, 16 or 32.

    Raises:
        ValueError: If the stride is another one.

    Source: EOV-Seg, spatial awareness extractor; norm and activations from its code.
    """

    def __init__(self, channels: int, stride: int) -> None:
        steps = {4: 0, 8: 1, 16: 2, 32: 3}.get(stride)
        if steps is None:
            raise ValueError(
                f'spatial_stride must be 4, 8, 16 or 32, got {stride}: take a spatial '
                'backbone with such patches.'
            )
        layers: list[nn.Module] = []
        for step in range(steps):
            layers.append(nn.ConvTranspose2d(channels, channels, 2, stride=2))
            if step < steps - 1:
                layers.append(ChannelLayerNorm(channels))
            layers.append(nn.GELU())
        super().__init__(*layers)

    def for_pooling(self, x: Tensor, *, once: bool = True) -> Tensor | MapToPool:
        """Prepare the result for ``mask_pool``, which needs no more of it than sums.

        Args:
            x: ``[B, S, h, w]``.
            once: It is pooled by one set of masks; see :func:`upsample_to_pool`.

        Returns:
            What stands for ``self(x)`` there.
        """
        layers = [
            layer.normalize if isinstance(layer, ChannelLayerNorm) else layer
            for layer in self
        ]
        return upsample_to_pool(x, self, layers, once=once)


class ChannelLayerNorm(nn.Module):
    """Normalize each position of ``[B, C, H, W]`` over its channels.

    Not a subclass of ``nn.LayerNorm``: the recipe's weight decay skips norms by their
    class, and the reference decays this one.

    Args:
        channels: C.
        eps: Added to the variance.

    Source: EOV-Seg's code, spatial branch.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to the same shape."""
        return self.normalize(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()

    def normalize(self, x: Tensor) -> Tensor:
        """Do the same to ``[..., C]``."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
