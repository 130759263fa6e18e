"""Which form of an operation runs: the only place that asks for device or graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

_PLAIN = ContextVar('plain', default=False)


@contextmanager
def plain(active: bool = True) -> Iterator[None]:
    """Run every operation as its formula says, slower and with more memory.

    Only for the code inside, in this thread: other threads, and threads that the code
    starts, are not changed. A graph (``torch.compile``, ``torch.export``) has a single
    form, which does not depend on this.

    Args:
        active: False leaves everything as it is.

    Example:
        >>> import torch
        >>> from mmovseg.models.ops import mask_area
        >>> with plain():
        ...     mask_area(torch.ones(1, 2, 2)).item()
        4
    """
    if not active:
        yield
        return
    token = _PLAIN.set(True)
    try:
        yield
    finally:
        _PLAIN.reset(token)


def takes_fast(
    where: Tensor | torch.device,
    *,
    on: str | None = None,
    in_graphs: bool = False,
    with_gradients: bool = True,
    in_traces: bool = True,
    norm: nn.Module | None = None,
) -> bool:
    """Decide whether an operation takes its fast form now.

    Args:
        where: A tensor of the operation, or its device.
        on: The kind of device that the fast form is for; None for all.
        in_graphs: Whether the fast form can be part of a graph for all sizes.
        with_gradients: Whether the fast form is for code that may need gradients.
        in_traces: Whether tools that count the operations of a traced model see those
            of the fast form; not of one with its own gradient.
        norm: A norm that the fast form takes as a constant: not while its statistics
            are those of the batch.
    """
    if in_graph():
        if not in_graphs:
            return False
    elif _PLAIN.get():
        return False
    if not with_gradients and torch.is_grad_enabled():
        return False
    if not in_traces and torch.jit.is_tracing():
        return False
    if norm is not None and norm.training:
        return False
    if on is None:
        return True
    device = where.device if isinstance(where, Tensor) else where
    return device.type == on


def in_graph() -> bool:
    """Whether this call is traced for a graph, which has to serve all sizes."""
    return torch.compiler.is_compiling()


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Return the type of products under autocast, None where there is none."""
    if torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return None


def gradients(trains: bool) -> torch.set_grad_enabled:
    """Return a context for a tower: without gradients unless some of it trains."""
    return torch.set_grad_enabled(trains and torch.is_grad_enabled())
