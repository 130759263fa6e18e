"""The best probability of a position over a vocabulary."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

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
        rows = _to_rows(embed(features))
        if takes_fast(features, in_traces=False) and rows.requires_grad:
            best = _LargestOfAll.apply(to_autocast(rows), to_autocast(names))
        else:
            best = _largest(rows, names)
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


class _LargestOfAll(torch.autograd.Function):
    """Do what :func:`_largest` does, with a gradient in one pass.

    Some positions come after the others, so that what is made of their scores stays in
    a cache. The largest of a softmax is ``p = 1 / sum(exp(s - peak))``, its gradient
    for the scores ``p * (1 - p)`` for the best name and ``-p * softmax`` for others.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, names: Tensor) -> Tensor:
        parts, best = [], []
        for some in rows.split(CHUNK):
            scores = at_least_float32(F.linear(names, some))  # [V, p]
            parts.append(scores.sub_(scores.amax(0)).exp_())
            best.append(scores.sum(0).reciprocal_())
        largest = torch.cat(best)
        ctx.save_for_backward(rows, names, largest, *parts)
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        rows, names, largest, *parts = ctx.saved_tensors
        row_grads = torch.empty_like(rows, memory_format=torch.contiguous_format)
        name_grads = at_least_float32(torch.zeros_like(names))
        slope = grad * largest
        step = parts[0].shape[1]
        for some, made, share, probability, part in zip(
            rows.split(step),
            row_grads.split(step),
            slope.split(step),
            largest.split(step),
            parts,
            strict=True,
        ):
            scores = (part == 1).to(part.dtype)  # the best names
            scores.mul_(share / scores.sum(0)).addcmul_(
                part, share * probability, value=-1
            )
            scores = scores.to(rows.dtype)
            torch.mm(scores.T, names, out=made)
            name_grads += scores @ some
        return row_grads, name_grads.to(names.dtype)
