"""Parts that the region embedding heads of EOV-Seg share."""

from __future__ import annotations

import math

import torch
from torch import nn


def pool_projection(in_channels: int, channels: int) -> nn.Sequential:
    """Build the norm and linear layer that follow mask pooling.

    Source: EOV-Seg's code.
    """
    return nn.Sequential(nn.LayerNorm(in_channels), nn.Linear(in_channels, channels))


def embedding_mlp(channels: int, embed_channels: int) -> nn.Sequential:
    """Build the three layers from a region of width C to the text space of width D.

    Source: EOV-Seg's code.
    """
    return nn.Sequential(
        nn.Linear(channels, channels),
        nn.ReLU(),
        nn.Linear(channels, channels),
        nn.ReLU(),
        nn.Linear(channels, embed_channels),
    )


def initial_logit_scale() -> nn.Parameter:
    """Return the log of the factor of the cosine that CLIP starts from."""
    return nn.Parameter(torch.tensor(math.log(1 / 0.07)))


def check_spatial_channels(spatial_channels: int | None, head: str) -> int:
    """Return the channels that a head needs; raise a ValueError if there are none."""
    if spatial_channels is None:
        raise ValueError(
            f'{head} needs spatial features: give the model a spatial_backbone (and a '
            'decoder that leaves them to the head), or take head.type MaskEmbedHead.'
        )
    return spatial_channels
