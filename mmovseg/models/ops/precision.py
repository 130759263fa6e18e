"""Where half precision is too little."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dispatch import autocast_dtype


def at_least_float32(x: Tensor) -> Tensor:
    """Return half precision as float32, anything wider as it is.

    Example:
        >>> import torch
        >>> at_least_float32(torch.ones(1, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Return a context without autocast, which does nothing where there is none.

    An exported graph gets a nested graph for every switch, with fixed sizes in ONNX.
    """
    if autocast_dtype(device) is None:
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def to_autocast(x: Tensor) -> Tensor:
    """Return what a product under autocast makes of a float32, to do it only once."""
    dtype = autocast_dtype(x.device)
    if dtype is None or x.dtype != torch.float32:
        return x
    return x.to(dtype)


def layer_norm_float32(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Apply a norm to float32 values, whatever the precision of its weights."""
    weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
    return F.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)
