"""Widths of a backbone, measured."""

from __future__ import annotations

import torch
from torch import nn


def measure_channels(backbone: nn.Module) -> tuple[int, ...]:
    """Run a backbone on an empty image and return the channels of its four maps.

    Backbones of mmseg and mmdet do not tell them. The mode and the statistics of the
    backbone stay as they are.

    Args:
        backbone: ``forward([B, 3, H, W])`` gives maps of strides 4, 8, 16 and 32.

    Returns:
        Channels, finest map first.

    Raises:
        ValueError: If there are not four maps of these strides.
    """
    training = backbone.training
    backbone.eval()
    with torch.no_grad():
        maps = backbone(torch.zeros(1, 3, 64, 64))
    backbone.train(training)
    strides = [64 // x.shape[-1] for x in maps]
    if strides != [4, 8, 16, 32]:
        raise ValueError(
            f'{type(backbone).__name__} has maps of strides {strides}, not '
            '[4, 8, 16, 32]; set its out_indices and strides accordingly.'
        )
    return tuple(x.shape[1] for x in maps)
