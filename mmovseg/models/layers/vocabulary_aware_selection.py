"""Select image features by how well the vocabulary explains them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..functional import upcast
from .folding import fold_norm, is_inference

CHUNK = 2048  # positions scored at once


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
        guide = self.guide(text.to(features.dtype)) * text.shape[-1] ** -0.5
        if is_inference(self):
            best = self._stream(features, guide)
        else:
            image = self.embed(features).flatten(2).transpose(1, 2)
            best = _best_probability(image, guide)
        best = best.view(-1, 1, *features.shape[-2:])
        return (best * self.scale + self.offset).to(features.dtype)

    def _stream(self, features: Tensor, guide: Tensor) -> Tensor:
        """Score some positions after the others, so that no large tensor is made.

        Args:
            features: ``[B, C, h, w]``.
            guide: Scaled rows of text, ``[V + 1, D]``.

        Returns:
            ``[B, h * w]``.
        """
        x, pointwise = features, None
        if not isinstance(self.embed, nn.Identity):
            first, norm1, _, second, norm2, _ = self.embed
            weight, bias = fold_norm(first.weight, norm1)
            x = F.gelu(F.conv2d(x, weight, bias, padding=1, groups=len(weight)))
            weight, bias = fold_norm(second.weight, norm2)
            pointwise = weight.flatten(1), bias
        best = []
        for image in x.flatten(2).transpose(1, 2).split(CHUNK, 1):  # [B, p, C]
            if pointwise is not None:
                image = F.gelu(F.linear(image, *pointwise))  # [B, p, D]
            best.append(_best_probability(image, guide))
        return torch.cat(best, 1)

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to the same shape, given text rows ``[V + 1, D]``."""
        return features * self.attention(features, text)


def _best_probability(image: Tensor, guide: Tensor) -> Tensor:
    """Return the largest entries of a softmax over text rows, ``[B, p]``."""
    # Positions last: an odd number of rows there slows the product down by half.
    # Contiguous: the order of other strides depends on the batch size in graphs.
    scores = torch.einsum('vd,bpd->bvp', guide, image).contiguous()
    scores = upcast(scores)  # half precision cannot count hundreds of summands
    peak = scores.amax(1, keepdim=True)
    # They are 1 / sum(exp(score - peak)); exact where a difference of large logarithms
    # is not.
    if scores.requires_grad:  # a gradient needs the scores again
        return (scores - peak).exp().sum(1).reciprocal()
    return scores.sub_(peak).exp_().sum(1).reciprocal()
