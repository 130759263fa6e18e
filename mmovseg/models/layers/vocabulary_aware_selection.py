"""Select image features by how well the vocabulary explains them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHUNK = 512  # rows of text scored at once


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
        self.embed: nn.Module = nn.Identity()
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
        image = self.embed(features)
        guide = self.guide(text.to(features.dtype)) * text.shape[-1] ** -0.5
        peak = total = None
        # Memory does not grow with the vocabulary, except for gradients, and in graphs,
        # whose number of steps cannot depend on it.
        whole = torch.is_grad_enabled() or torch.compiler.is_compiling()
        for rows in [guide] if whole else guide.split(CHUNK):
            scores = torch.einsum('bdhw,vd->bvhw', image, rows)
            best = scores.amax(1, keepdim=True)
            if peak is not None:
                best = torch.maximum(best, peak)
                total = total * (peak - best).exp()
            part = (scores - best).exp().sum(1, keepdim=True)
            peak, total = best, part if total is None else total + part
        # The largest softmax entry is 1 / sum(exp(score - peak)); exact where a
        # difference of large logarithms is not.
        return total.reciprocal() * self.scale + self.offset

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to the same shape, given text rows ``[V + 1, D]``."""
        return features * self.attention(features, text)
