"""Numbers of the host for a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .dispatch import takes_fast


def to_device_async(
    values: Tensor | Sequence,
    device: torch.device | str,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Put a few numbers of the host on a device, without waiting for its work.

    Args:
        values: A tensor of the host, not of a GPU, or what ``torch.as_tensor`` takes.
        device: Where they are needed. A GPU copies them when it gets there.
        dtype: Of the result; None keeps that of the values.

    Returns:
        The values on the device.
    """
    tensor = torch.as_tensor(values, dtype=dtype)
    if takes_fast(torch.device(device), on='cuda'):
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
