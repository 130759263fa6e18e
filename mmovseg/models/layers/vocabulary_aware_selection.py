"""Select image features by how well the vocabulary explains them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import at_least_float32, to_autocast
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
            best = _best_probability(_to_rows(self.embed(features)), guide)
        best = best.view(-1, 1, *features.shape[-2:])
        return (best * self.scale + self.offset).to(features.dtype)

    def _stream(self, features: Tensor, guide: Tensor) -> Tensor:
        """Score some positions after the others, so that no large tensor is made.

        Args:
            features: ``[B, C, h, w]``.
            guide: Scaled rows of text, ``[V + 1, D]``.

        Returns:
            ``[B * h * w]``.
        """
        x, pointwise = features, None
        if not isinstance(self.embed, nn.Identity):
            first, norm1, _, second, norm2, _ = self.embed
            weight, bias = fold_norm(first.weight, norm1)
            x = F.gelu(F.conv2d(x, weight, bias, padding=1, groups=len(weight)))
            weight, bias = fold_norm(second.weight, norm2)
            pointwise = to_autocast(weight.flatten(1)), to_autocast(bias)
        best = []
        for image in _to_rows(x).split(CHUNK):  # [p, C]
            if pointwise is not None:
                image = F.gelu(F.linear(image, *pointwise))  # [p, D]
            best.append(_best_probability(image, guide))
        return torch.cat(best)

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to the same shape, given text rows ``[V + 1, D]``."""
        return features * self.attention(features, text)


def _to_rows(x: Tensor) -> Tensor:
    """Return the channels of each position of ``[B, C, h, w]``, ``[B * h * w, C]``."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)


def _best_probability(image: Tensor, guide: Tensor) -> Tensor:
    """Return the largest entries of a softmax over text rows.

    Args:
        image: ``[p, D]``.
        guide: ``[V + 1, D]``.

    Returns:
        ``[p]``, at least float32.
    """
    # Positions last: an odd number of rows there slows the product down by half.
    scores = F.linear(guide, image)  # [V + 1, p]
    scores = at_least_float32(
        scores
    )  # half precision cannot count hundreds of summands
    peak = scores.amax(0)
    # They are 1 / sum(exp(score - peak)); exact where a difference of large logarithms
    # is not.
    if scores.requires_grad:  # a gradient needs the scores again
        return (scores - peak).exp().sum(0).reciprocal()
    return scores.sub_(peak).exp_().sum(0).reciprocal()
