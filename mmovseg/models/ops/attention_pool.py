"""CLIP's attention pooling, of regions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .dispatch import takes_fast
from .resize_masks import resize_masks


def attention_pool(features: Tensor, masks: Tensor, pool: Any) -> Tensor:
    """Run CLIP's attention pooling with one key mask per region.

    All regions share query, keys and values; only the mask differs, so the products
    are computed once per image.

    Args:
        features: The last map, ``[B, C, h, w]``.
        masks: bool, ``[B, N, h, w]``.
        pool: ``attnpool`` of a CLIP ResNet.

    Returns:
        Region embeddings, ``[B, N, D]``; meaningless for a mask without a position.
    """
    _, channels, height, width = features.shape
    position = pool.positional_embedding
    side = round((len(position) - 1) ** 0.5)
    grid = position[1:].T.reshape(1, channels, side, side)
    grid = resize_masks(grid, (height, width))
    tokens = (features + grid).flatten(2).transpose(1, 2)  # [B, hw, C]
    query = features.mean((-2, -1)) + position[0]  # [B, C]

    heads = pool.num_heads
    query = pool.q_proj(query).unflatten(-1, (heads, -1))  # [B, heads, C / heads]
    values = pool.v_proj(tokens).unflatten(-1, (heads, -1)).transpose(1, 2)
    if takes_fast(features, in_graphs=True):
        scores = _score_by_query(query, tokens, pool.k_proj.weight)
    else:
        keys = pool.k_proj(tokens).unflatten(-1, (heads, -1))
        scores = torch.einsum('bhc,blhc->bhl', query, keys) * query.shape[-1] ** -0.5
    masks = masks.flatten(2).unsqueeze(1)  # [B, 1, N, hw]
    # The lowest number instead of -inf: a mask without pixels stays finite.
    lowest = torch.finfo(scores.dtype).min
    attention = F.softmax(scores.unsqueeze(2).masked_fill(~masks, lowest), dim=-1)
    regions = (attention @ values).transpose(1, 2).flatten(2)  # [B, N, C]
    return pool.c_proj(regions)


def _score_by_query(query: Tensor, tokens: Tensor, weight: Tensor) -> Tensor:
    """Apply the keys' projection to the single query, not to every position.

    Its bias adds the same to all scores, which a softmax does not see.

    Args:
        query: ``[B, heads, C / heads]``.
        tokens: ``[B, hw, C]``.
        weight: Of the keys' projection, ``[C, C]``.

    Returns:
        ``[B, heads, hw]``.
    """
    weight = weight.unflatten(0, (query.shape[1], -1))
    query = torch.einsum('bhd,hdc->bhc', query, weight) * query.shape[-1] ** -0.5
    return query @ tokens.transpose(1, 2)
