"""Initialization shared by the decoder's layers."""

from torch import nn


def init_linear(module: nn.Module) -> None:
    """Fill a linear layer with a truncated normal of std 0.02 and zero bias.

    Meant for ``module.apply``; also reaches the output projection of an attention,
    whose packed input projection keeps PyTorch's Xavier uniform.

    Source: EOV-Seg's code.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
