"""Fold a batch norm of evaluation into the convolution before it."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


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


def fold_norms(module: nn.Module) -> nn.Module:
    """Return a copy of a module in eval mode without the batch norms of its ResNet.

    A norm belongs to the convolution of its number (``conv1`` and ``bn1``), or stands
    behind one in ``nn.Sequential``.
    """
    module = copy.deepcopy(module)
    for parent in list(module.modules()):
        children = dict(parent.named_children())
        names = [(name, name.replace('conv', 'bn')) for name in children]
        if isinstance(parent, nn.Sequential):
            names = list(pairwise(children))
        for first, second in names:
            conv, norm = children[first], children.get(second)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, first, fuse_conv_bn_eval(conv, norm))
                setattr(parent, second, nn.Identity())
    return module
