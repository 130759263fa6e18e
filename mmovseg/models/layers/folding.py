"""Fold a batch norm of evaluation into the convolution before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def is_inference(module: nn.Module) -> bool:
    """Whether a module may take a way without gradients and batch statistics.

    Not in graphs: such ways go in parts, whose number cannot depend on sizes there.
    """
    graph = torch.compiler.is_compiling()
    return not (module.training or torch.is_grad_enabled() or graph)


def fold_norm(
    weight: Tensor, norm: nn.Module, *, transposed: bool = False
) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution with its batch norm.

    Cheap enough for every call: the weights are small against the maps, and nothing
    has to be kept in step with them.

    Args:
        weight: Of a convolution without bias, ``[C', C, k, k]``.
        norm: The batch norm over the C' channels that follows.
        transposed: The convolution is transposed, its weight ``[C, C', k, k]``.

    Returns:
        The scaled weight, and the bias ``[C']``.
    """
    scale = (norm.running_var + norm.eps).rsqrt() * norm.weight
    bias = norm.bias - norm.running_mean * scale
    shape = (1, -1, 1, 1) if transposed else (-1, 1, 1, 1)
    return weight * scale.view(shape), bias
