"""Random numbers of an iteration that do not depend on what ran before it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmovseg.registry import HOOKS


@HOOKS.register_module()
class SeedIterationHook(Hook):
    """Seed every generator from run seed, process and iteration.

    A checkpoint then needs no generator state: iteration 51 draws the same numbers
    whether the run was resumed after 50 or never stopped, and whatever validation
    drew in between. Data loading is seeded per sample by
    :class:`mmovseg.datasets.SeededSampler`, because its workers are ahead of the
    training loop.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Seed Python, NumPy and PyTorch for the iteration that starts."""
        entropy = (runner.seed, runner.rank, runner.iter)
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (the global generator is what mmcv uses)
        torch.manual_seed(seed)
