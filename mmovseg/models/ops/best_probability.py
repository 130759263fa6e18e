"""The best probability of a position over a vocabulary."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conv_norm import conv_norm, fold_norm
from .dispatch import takes_fast
from .precision import at_least_float32, to_autocast

CHUNK = 2048  # positions scored at once


def best_probability(
    features: Tensor, names: Tensor, embed: nn.Identity | nn.Sequential
) -> Tensor:
    """Find how well the best of all names explains each position.

    Args:
        features: ``[B, C, h, w]``.
        names: Rows of the vocabulary, scaled, ``[V, D]``.
        embed: From C to D channels: ``nn.Identity``, or a sequence of 3x3 depthwise
            convolution, batch norm, GELU, 1x1 convolution, batch norm, GELU.

    Returns:
        The largest entry of a softmax over the names, at least float32, ``[B, 1, h,
        w]``.
    """
    if takes_fast(features, in_graphs=True):
        return _without_softmax(features, names, embed)
    scores = torch.einsum('bdhw,vd->bvhw', embed(features), names)
    # Half precision cannot count hundreds of summands.
    return at_least_float32(scores).softmax(1).amax(1, keepdim=True)


def _without_softmax(
    features: Tensor, names: Tensor, embed: nn.Identity | nn.Sequential
) -> Tensor:
    if takes_fast(features, with_gradients=False, norm=embed):
        best = _stream(features, names, embed)
    else:
        best = _largest(_to_rows(embed(features)), names)
    return best.view(-1, 1, *features.shape[-2:])


def _stream(
    features: Tensor, names: Tensor, embed: nn.Identity | nn.Sequential
) -> Tensor:
    """Score some positions after the others, so that no large tensor is made.

    Returns:
        ``[B * h * w]``.
    """
    pointwise = None
    if isinstance(embed, nn.Sequential):
        layers: list[Any] = list(embed)
        depthwise, norm1, _, second, norm2, _ = layers
        features = F.gelu(conv_norm(features, depthwise, norm1))
        weight, bias = fold_norm(second.weight, norm2)
        pointwise = to_autocast(weight.flatten(1)), to_autocast(bias)
    best = []
    for image in _to_rows(features).split(CHUNK):  # [p, C]
        if pointwise is not None:
            image = F.gelu(F.linear(image, *pointwise))  # [p, D]
        best.append(_largest(image, names))
    return torch.cat(best)


def _to_rows(x: Tensor) -> Tensor:
    """Return the channels of each position of ``[B, C, h, w]``, ``[B * h * w, C]``."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)


def _largest(image: Tensor, names: Tensor) -> Tensor:
    """Return the largest entries of a softmax of ``[p, D]`` over names, ``[p]``."""
    # Positions last: an odd number of rows there slows the product down by half.
    scores = at_least_float32(F.linear(names, image))  # [V, p]
    peak = scores.amax(0)
    # They are 1 / sum(exp(score - peak)); exact where a difference of large logarithms
    # is not.
    if scores.requires_grad:  # a gradient needs the scores again
        return (scores - peak).exp().sum(0).reciprocal()
    return scores.sub_(peak).exp_().sum(0).reciprocal()
