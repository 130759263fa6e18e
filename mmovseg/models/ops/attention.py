"""Attention with several heads."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .dispatch import in_graph


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    num_heads: int,
    mask: Tensor | None = None,
) -> Tensor:
    """Mix values by the likeness of queries and keys, which are projected already.

    Args:
        query: ``[B, T, C]``.
        key: ``[B, L, C]``.
        value: ``[B, L, C]``.
        num_heads: Parts of the channels.
        mask: True where a query may attend, in all heads, ``[B, T, L]``; None for
            everywhere.

    Returns:
        ``[B, T, C]``.
    """
    query, key, value = (
        x.unflatten(-1, (num_heads, -1)).transpose(1, 2)  # [B, heads, T or L, c]
        for x in (query, key, value)
    )
    if mask is not None:
        mask = mask.unsqueeze(1)
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return mixed.transpose(1, 2).flatten(2)


def self_attention(tokens: Tensor, attention: nn.MultiheadAttention) -> Tensor:
    """Let tokens attend to each other, by a module's projections.

    Args:
        tokens: ``[B, N, C]``.
        attention: With ``batch_first``.

    Returns:
        ``[B, N, C]``.
    """
    if in_graph():  # which has no kernel for what the module calls in evaluation
        return _attend_batch_first(tokens, tokens, tokens, attention)
    return attention(tokens, tokens, tokens, need_weights=False)[0]


def cross_attention(
    query: Tensor, key: Tensor, value: Tensor, attention: nn.MultiheadAttention
) -> Tensor:
    """Let queries attend to keys of another length, by a module's projections.

    Args:
        query: ``[B, T, C]``.
        key: ``[B, L, C]``.
        value: ``[B, L, C]``.
        attention: With ``batch_first``.

    Returns:
        ``[B, T, C]``.
    """
    if in_graph():
        return _attend_batch_first(query, key, value, attention)
    # The weights are not used, but without them torch takes kernels that round
    # otherwise.
    return attention(query, key, value)[0]


def masked_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention: nn.MultiheadAttention,
    mask: Tensor | None = None,
) -> Tensor:
    """Let queries attend to some keys, by a module's projections.

    The module itself would repeat the mask for every head.

    Args:
        query: ``[B, T, C]``.
        key: ``[B, L, C]``.
        value: ``[B, L, C]``.
        attention: With ``batch_first``.
        mask: True where a query may attend, in all heads, ``[B, T, L]``; None for
            everywhere.

    Returns:
        ``[B, T, C]``.
    """
    return _attend_batch_first(query, key, value, attention, mask)


def _attend_batch_first(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention: nn.MultiheadAttention,
    mask: Tensor | None = None,
) -> Tensor:
    """Do what the module does, up to rounding, for batches of any length.

    It puts L before B, from which the trace of a graph concludes that B is not 1.
    """
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    query, key, value = (
        F.linear(x, weight, bias)
        for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )
    return attention.out_proj(attend(query, key, value, attention.num_heads, mask))
