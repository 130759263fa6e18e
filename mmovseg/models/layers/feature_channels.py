"""Widths, strides and order of maps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..ops.dispatch import in_graph

SIDE = 64  # of the image to measure with, in pixels


class MapSize(NamedTuple):
    """A map of a backbone.

    Attributes:
        channels: C.
        stride: In pixels.
    """

    channels: int
    stride: int


@torch.no_grad()
def measure_maps(backbone: nn.Module) -> tuple[MapSize, ...]:
    """Run a backbone on an empty image, and return what its maps are like.

    Backbones of mmseg and mmdet do not tell. The mode and the statistics of the
    backbone stay as they are.

    Args:
        backbone: ``forward([B, 3, H, W])`` gives a map or several.

    Returns:
        One entry per map, in the order of the backbone.

    Raises:
        ValueError: If it gives something else.
    """
    training = backbone.training
    backbone.eval()
    maps = backbone(torch.zeros(1, 3, SIDE, SIDE))
    backbone.train(training)
    maps = (maps,) if isinstance(maps, Tensor) else maps
    if not isinstance(maps, (tuple, list)) or not all(
        isinstance(x, Tensor) and x.dim() == 4 for x in maps
    ):
        raise ValueError(
            f'{type(backbone).__name__} gives no maps [B, C, h, w]: take a backbone '
            'that does, or its option for maps (out_indices, output_cls_token=False).'
        )
    return tuple(MapSize(x.shape[1], SIDE // x.shape[-1]) for x in maps)


def measure_channels(backbone: nn.Module) -> tuple[int, ...]:
    """Return the channels of the four maps of a backbone; see :func:`measure_maps`.

    Returns:
        Channels, finest map first.

    Raises:
        ValueError: If there are not four maps of strides 4, 8, 16 and 32.
    """
    maps = measure_maps(backbone)
    strides = [x.stride for x in maps]
    if strides != [4, 8, 16, 32]:
        raise ValueError(
            f'{type(backbone).__name__} has maps of strides {strides}, not '
            '[4, 8, 16, 32]; set its out_indices and strides accordingly.'
        )
    return tuple(x.channels for x in maps)


def measure_one_map(backbone: nn.Module) -> MapSize:
    """Return what the only map of a backbone is like; see :func:`measure_maps`.

    Raises:
        ValueError: If there are several.
    """
    maps = measure_maps(backbone)
    if len(maps) != 1:
        raise ValueError(
            f'{type(backbone).__name__} gives {len(maps)} maps where one is needed: '
            'set its out_indices to that one, such as (3,).'
        )
    return maps[0]


def check_maps(
    part: nn.Module,
    features: Sequence[Tensor],
    channels: Sequence[int],
    *,
    halving: bool = False,
) -> None:
    """Raise an error unless a part gets the maps that it was built for.

    Args:
        part: Named in the message.
        features: ``[B, C_i, H_i, W_i]``.
        channels: Their widths, finest map first.
        halving: Whether each map has to be half as large as the one before.

    Raises:
        TypeError: If it is a single map.
        ValueError: If number, widths, order or sizes are wrong.
    """
    name = type(part).__name__
    if isinstance(features, Tensor):
        raise TypeError(
            f'{name} takes {len(channels)} maps, got a single one of shape '
            f'{tuple(features.shape)}: give the backbone out_indices, and a ViT a '
            'Feature2Pyramid of mmseg.'
        )
    widths = tuple(x.shape[1] for x in features)
    if widths != tuple(channels):
        fix = f'set in_channels={list(widths)}, or out_indices of the backbone'
        if len(set(widths)) > 1 and widths == tuple(channels)[::-1]:
            fix = 'turn them around, the finest map comes first'
        raise ValueError(
            f'{name} was built for maps of {list(channels)} channels, got '
            f'{list(widths)}: {fix}.'
        )
    if in_graph():
        return  # what is traced has run before
    sizes = [(x.shape[-2], x.shape[-1]) for x in features]
    for fine, coarse in pairwise(sizes):
        if fine[0] < coarse[0] or fine[1] < coarse[1]:
            raise ValueError(
                f'{name} takes the finest map first, got maps of sizes {sizes}: turn '
                'them around.'
            )
        if halving and (fine[0] != 2 * coarse[0] or fine[1] != 2 * coarse[1]):
            raise ValueError(
                f'{name} takes maps each half as large as the one before (strides 4, '
                f'8, 16, 32), got sizes {sizes}: pad images to multiples of 32 '
                '(pad_size_divisor or size_divisor of the data preprocessor), and '
                'make a pyramid of maps of one size (Feature2Pyramid of mmseg).'
            )
