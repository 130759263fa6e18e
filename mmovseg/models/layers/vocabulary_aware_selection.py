"""Select image features by how well the vocabulary explains them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..ops import best_probability


class VocabularyAwareSelection(nn.Module):
    """Scale each position by its best probability over the vocabulary (VAS).

    Args:
        channels: Channels of the image features.
        text_channels: Width D of the text rows.

    Source: EOV-Seg, equations 3 and 4, with one head as in its code; the visual
    projection is a depthwise separable convolution there.
    """

    def __init__(self, channels: int, text_channels: int) -> None:
        super().__init__()
        self.embed: nn.Identity | nn.Sequential = nn.Identity()
        if channels != text_channels:
            depthwise = nn.Conv2d(
                channels, channels, 3, padding=1, groups=channels, bias=False
            )
            pointwise = nn.Conv2d(channels, text_channels, 1, bias=False)
            for conv in (depthwise, pointwise):
                nn.init.kaiming_normal_(
                    conv.weight, mode='fan_out', nonlinearity='relu'
                )
            self.embed = nn.Sequential(
                depthwise,
                nn.BatchNorm2d(channels),
                nn.GELU(),
                pointwise,
                nn.BatchNorm2d(text_channels),
                nn.GELU(),
            )
        self.guide = nn.Linear(text_channels, text_channels)
        self.scale = nn.Parameter(torch.ones(()))
        self.offset = nn.Parameter(torch.zeros(()))

    def attention(self, features: Tensor, text: Tensor) -> Tensor:
        """Compute the weight of each position, after scale and offset.

        Args:
            features: ``[B, C, h, w]``.
            text: Unit text rows with void, ``[V + 1, D]``.

        Returns:
            ``[B, 1, h, w]``.
        """
        guide = self.guide(text.to(features.dtype)) * text.shape[-1] ** -0.5
        best = best_probability(features, guide, self.embed)
        return (best * self.scale + self.offset).to(features.dtype)

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to the same shape, given text rows ``[V + 1, D]``."""
        return features * self.attention(features, text)
