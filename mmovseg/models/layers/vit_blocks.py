"""Blocks of vision transformers of several libraries, seen in one way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn

Function = Callable[[Tensor], Tensor]


class AttentionParts(NamedTuple):
    """Self-attention, whoever wrote it.

    Attributes:
        weight: Of queries, keys and values, one below the other, ``[3 * C, C]``.
        bias: The same, ``[3 * C]``, or None.
        num_heads: Parts of the channels.
        norm_query: Applied to each head of the queries, ``[..., C / num_heads]``.
        norm_key: The same of keys.
        project: From what heads have gathered to the output, ``[B, T, C]``.
    """

    weight: Tensor
    bias: Tensor | None
    num_heads: int
    norm_query: Function
    norm_key: Function
    project: Function


class BlockParts(NamedTuple):
    """A pre-norm block: ``x = x + add(attention(norm(x)))``, then ``finish(x)``.

    Attributes:
        norm: Before attention.
        attention: As :func:`read_attention` takes it.
        add: What is applied to the output of attention before it is added.
        finish: The feed-forward network with its own sum.
        batch_first: Whether the block takes ``[B, T, C]``, not ``[T, B, C]``.
    """

    norm: Function
    attention: nn.Module
    add: Function
    finish: Function
    batch_first: bool


def read_attention(attention: Any) -> AttentionParts:
    """Take an attention apart: PyTorch's, open_clip's, timm's, mmcv's, mmpretrain's.

    Raises:
        TypeError: If it is another one, or has what no part here stands for.
    """
    if isinstance(getattr(attention, 'attn', None), nn.MultiheadAttention):
        attention = attention.attn  # mmcv wraps PyTorch's
    for name in ('logit_scale', 'head_scale', 'gate', 'rel_pos_h', 'rope'):
        if getattr(attention, name, None) is not None:
            raise TypeError(
                f'{type(attention).__module__}.{type(attention).__name__} has '
                f'{name!r}, which patch severance does not know.'
            )
    part: Callable[[str], Any] = lambda name: getattr(attention, name, _same)  # noqa: E731
    if getattr(attention, 'in_proj_weight', None) is not None:
        return AttentionParts(
            attention.in_proj_weight,
            attention.in_proj_bias,
            attention.num_heads,
            part('ln_q'),
            part('ln_k'),
            lambda x: attention.out_proj(part('ln_inner')(x)),
        )
    if hasattr(attention, 'qkv') and hasattr(attention, 'proj'):
        return AttentionParts(
            attention.qkv.weight,
            attention.qkv.bias,
            attention.num_heads,
            part('q_norm'),
            part('k_norm'),
            lambda x: attention.proj(part('norm')(x)),
        )
    raise TypeError(
        f'{type(attention).__module__}.{type(attention).__name__} is no attention of '
        'PyTorch, open_clip, timm, mmcv or mmpretrain with one projection of queries, '
        'keys and values.'
    )


def read_block(block: Any) -> BlockParts | None:
    """Take a block of a ViT apart; None for what is no such block."""
    for matches, read in READERS:
        if all(hasattr(block, name) for name in matches.split()):
            return read(block)
    return None


def _open_clip(block: Any) -> BlockParts:
    return BlockParts(
        block.ln_1,
        block.attn,
        lambda x: block.ls_1(getattr(block, 'ln_attn', _same)(x)),
        lambda x: x + block.ls_2(block.mlp(block.ln_2(x))),
        getattr(block.attn, 'batch_first', True),
    )


def _timm(block: Any) -> BlockParts:
    return BlockParts(
        block.norm1,
        block.attn,
        lambda x: block.drop_path1(block.ls1(block.attn.proj_drop(x))),
        lambda x: x + block.drop_path2(block.ls2(block.mlp(block.norm2(x)))),
        True,
    )


def _openmmlab(block: Any) -> BlockParts:
    attention = block.attn

    def add(x: Tensor) -> Tensor:
        x = attention.proj_drop(x)
        if hasattr(attention, 'dropout_layer'):  # mmcv's, in mmseg
            return attention.dropout_layer(x)
        return attention.out_drop(attention.gamma1(x))  # mmpretrain's

    return BlockParts(
        block.norm1,
        attention,
        add,
        lambda x: block.ffn(block.norm2(x), identity=x),
        getattr(attention, 'batch_first', True),
    )


# What tells the blocks apart, and who reads them.
READERS: tuple[tuple[str, Callable[[Any], BlockParts]], ...] = (
    ('ln_1 attn ls_1 ln_2 mlp ls_2', _open_clip),
    ('norm1 attn ls1 drop_path1 norm2 mlp ls2 drop_path2', _timm),
    ('norm1 attn norm2 ffn', _openmmlab),
)


def find_blocks(vit: nn.Module) -> list[nn.Module]:
    """Return the blocks of a ViT, first block first.

    Raises:
        TypeError: If the module has no list of such blocks, or several.
    """
    found = [
        list(module)
        for module in vit.modules()
        if isinstance(module, (nn.ModuleList, nn.Sequential))
        and len(module)
        and all(_is_block(block) for block in module)
    ]
    if len(found) != 1:
        raise TypeError(
            f'{type(vit).__name__} has {len(found)} lists of transformer blocks, not '
            'one; blocks of open_clip, timm, mmseg and mmpretrain are known (not those '
            'with windows).'
        )
    return found[0]


def _is_block(block: nn.Module) -> bool:
    return read_block(block) is not None and not hasattr(block, 'window_size')


def _same(x: Tensor) -> Tensor:
    return x
