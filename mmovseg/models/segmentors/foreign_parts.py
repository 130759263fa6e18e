"""Whether the parts of other packages fit into EOV-Seg."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..layers import measure_channels, measure_one_map
from ..structures import TextEmbeddings

NO_CLIP = (
    'The ensemble asks a CLIP for its own scores, and the backbone {} is none (it has '
    'no pool_masks): set ensemble=None.'
)


@torch.no_grad()
def check_parts(model: Any) -> None:
    """Run backbone and neck once.

    Args:
        model: An ``EOVSeg``.

    Raises:
        ValueError: If they do not fit together; the message names them.
    """
    images = torch.zeros(1, 3, 64, 64)
    modes = [(part, part.training) for part in (model.backbone, model.neck)]
    for part, _ in modes:
        part.eval()
    features = model.backbone(images)
    width = model.text_classifier.embed_dims
    rows = TextEmbeddings(torch.zeros(2, width), torch.tensor([0, 1]), 1)
    names = [type(part).__name__ for part in (model.backbone, model.neck)]
    try:
        maps = model.run_neck(features, rows)
    except Exception as error:  # the necks of others raise whatever they like
        found = [tuple(x.shape[1:]) for x in features]
        raise ValueError(
            f'The neck {names[1]} does not take the maps of {names[0]}, whose '
            f'channels and sizes are {found} for an image of 64 x 64: {error}'
        ) from error
    for part, mode in modes:
        part.train(mode)
    first = maps if isinstance(maps, Tensor) else maps[0]
    if tuple(first.shape[-2:]) != (16, 16):
        raise ValueError(
            f'The first map of the neck {names[1]} is {tuple(first.shape[-2:])} '
            'for an image of 64 x 64; it has to be the finest, 16 x 16 (stride 4): '
            'take a neck that starts with the finest map of the backbone.'
        )
    kernels = getattr(model.decoder, 'object_kernels', None)
    if kernels is not None and kernels.embedding_dim != first.shape[1]:
        raise ValueError(
            f'The neck {names[1]} gives {first.shape[1]} channels, the decoder '
            f'{type(model.decoder).__name__} has {kernels.embedding_dim}: make '
            'out_channels of the neck and channels of the decoder equal.'
        )


def list_channels(backbone: nn.Module) -> list[int]:
    """Return the channels of the four maps of a backbone, finest map first."""
    channels = getattr(backbone, 'out_channels', None)
    # Backbones of others call other things out_channels, such as a number.
    if not isinstance(channels, (tuple, list)):
        channels = measure_channels(backbone)
    return list(channels)


def measure_spatial(backbone: nn.Module) -> tuple[int, int]:
    """Return channels and stride of the map of a spatial backbone."""
    indices = getattr(backbone, 'out_indices', None)
    if isinstance(indices, (tuple, list)) and len(indices) > 1:
        raise ValueError(
            f'{type(backbone).__name__} gives {len(indices)} maps where one is needed: '
            'set its out_indices to that one, such as (3,).'
        )
    channels = getattr(backbone, 'embed_dims', None)
    stride = getattr(backbone, 'stride', None)
    if isinstance(channels, int) and isinstance(stride, int):
        return channels, stride
    return measure_one_map(backbone)
