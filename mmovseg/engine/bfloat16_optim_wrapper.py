"""Training in bfloat16 on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from mmovseg.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Run forward passes under autocast to bfloat16; weights stay in float32.

    MMEngine's ``AmpOptimWrapper`` refuses a CPU, and scales losses, which the range of
    float16 needs and that of bfloat16 does not. Takes the arguments of
    ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enter autocast, besides what gradient accumulation needs."""
        device = get_device().split(':')[0]
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield
