"""Seed the augmentation of one sample."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from ..registry import TRANSFORMS
from .base_transform import BaseTransform


@TRANSFORMS.register_module()
class SeedSample(BaseTransform):
    """Seed every generator as the sampler says; goes first in a training pipeline.

    Does nothing where the index carries no seed: with another sampler than
    :class:`mmovseg.datasets.SeededSampler`, inside ``RepeatDataset`` or
    ``ConcatDataset``, or for the substitute of a sample without annotations (which
    is drawn, and augmented, with the seed of that sample).

    Required keys: ``sample_idx``. Changes no key.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Seed Python, NumPy and PyTorch; return ``results`` unchanged."""
        entropy = getattr(results.get('sample_idx'), 'entropy', None)
        if entropy is not None:
            seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 (what mmcv's transforms draw from)
            torch.manual_seed(seed)
        return results
