"""A ResNet without its norms."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .dispatch import takes_fast


class FoldedNorms:
    """Choose between a frozen ResNet and a copy of it with its norms folded.

    The copy is made when it is first needed, and anew when the weights have changed.
    Weights edited through ``parameter.data`` go unnoticed.

    Args:
        without: Children that the copy need not have.
    """

    # Of which weights the copy is, and the copy. It is no part of another module, nor
    # of checkpoints, and never half there for another thread.
    _kept: tuple[tuple, nn.Module] | None = None

    def __init__(self, without: Sequence[str] = ()) -> None:
        self.without = tuple(without)

    def __getstate__(self) -> dict[str, Any]:
        return dict(without=self.without)

    def of(self, module: nn.Module, x: Tensor) -> nn.Module:
        """Return what to run on ``x`` in place of a module in eval mode."""
        if takes_fast(x, with_gradients=False, norm=module):
            return self._fold(module)
        return module

    def _fold(self, module: nn.Module) -> nn.Module:
        tensors = module.state_dict(keep_vars=True).values()
        state = tuple(
            (x.data_ptr(), x.dtype, 0 if x.is_inference() else x._version)
            for x in tensors
        )
        kept = self._kept
        if kept is None or kept[0] != state:
            # A tensor made in inference mode could not be used outside of it.
            with torch.inference_mode(False), torch.no_grad():
                kept = self._kept = state, fold_norms(module, self.without)
        return kept[1]


def fold_norms(module: nn.Module, without: Sequence[str] = ()) -> nn.Module:
    """Return a copy of a module in eval mode without the batch norms of its ResNet.

    A norm belongs to the convolution of its number (``conv1`` and ``bn1``), or stands
    behind one in ``nn.Sequential``.

    Args:
        module: The ResNet.
        without: Names of children that are left out.
    """
    module = copy.deepcopy(module)
    for name in without:
        delattr(module, name)
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
