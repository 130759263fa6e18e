"""Attention with several heads, of what is projected already."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def attend(query: Tensor, key: Tensor, value: Tensor, num_heads: int) -> Tensor:
    """Mix values by the likeness of queries and keys, head by head.

    Args:
        query: ``[B, T, C]``.
        key: ``[B, L, C]``.
        value: ``[B, L, C]``.
        num_heads: Parts of the channels.

    Returns:
        ``[B, T, C]``.
    """
    query, key, value = (
        x.unflatten(-1, (num_heads, -1)).transpose(1, 2)  # [B, heads, T or L, c]
        for x in (query, key, value)
    )
    mixed = F.scaled_dot_product_attention(query, key, value)
    return mixed.transpose(1, 2).flatten(2)
