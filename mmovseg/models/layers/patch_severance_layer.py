"""Patch severance: attention of a pretrained ViT block with less mixing of patches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..ops import attend, resize_masks
from .vit_blocks import read_attention, read_block

MODES = ('generalized', 'mask_guided', 'mask_weighted')


def token_masks(mask_logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Give every token of a ViT its probability in every mask.

    Args:
        mask_logits: ``[B, N, h, w]``; resized first, then put through a sigmoid.
        size: Height and width of the patch grid.

    Returns:
        ``[B, N, 1 + L]`` in [0, 1]; the class token comes first and is in every mask.

    Example:
        >>> import torch
        >>> token_masks(torch.zeros(1, 1, 2, 2), (2, 2)).tolist()
        [[[1.0, 0.5, 0.5, 0.5, 0.5]]]
    """
    masks = resize_masks(mask_logits, size).sigmoid().flatten(2)
    return F.pad(masks, (1, 0), value=1.0)


@MODELS.register_module()
class PatchSeveranceLayer(nn.Module):
    """Replace the attention of one block of a ViT; there is nothing to train.

    The modes, for the values ``v`` of all tokens, class token included:

    * ``'generalized'`` (GPS, equation 2): ``alpha * v + (1 - alpha) * Attn v``. With 0
      this is the block's own attention, with 1 no token sees another.
    * ``'mask_guided'`` (MPS, equation 1): ``softmax(MᵀM) v``, the same for all heads.
    * ``'mask_weighted'``: each ``v`` times the sum of its masks. What the released
      weights were trained with; the paper does not mention it.

    Args:
        mode: One of the three.
        alpha: Degree of severance, in [0, 1]; of ``'generalized'`` only.
        residual_scale: Factor of the block's input in the residual sum. The released
            code has 0.2 in the last block of a tower without learned positions.

    Raises:
        ValueError: If the mode is unknown or ``alpha`` is outside [0, 1].

    Source: DeOP, section 4.1 and released code.
    """

    def __init__(
        self,
        mode: str = 'generalized',
        alpha: float = 1.0,
        *,
        residual_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f'mode must be one of {MODES}, got {mode!r}.')
        if not 0 <= alpha <= 1:
            raise ValueError(f'alpha must be in [0, 1], got {alpha}.')
        self.mode = mode
        self.alpha = alpha
        self.residual_scale = residual_scale

    @property
    def is_identity(self) -> bool:
        """Whether the block stays as it is."""
        plain = self.mode == 'generalized' and self.alpha == 0
        return plain and self.residual_scale == 1

    @property
    def needs_masks(self) -> bool:
        """Whether :meth:`forward` reads the masks."""
        return self.mode != 'generalized'

    def forward(self, attention: nn.Module, tokens: Tensor, masks: Any) -> Tensor:
        """Compute what the block adds to its input.

        Args:
            attention: The block's own attention, of any library that
                :func:`~mmovseg.models.layers.vit_blocks.read_attention` knows.
            tokens: Normed input of the block, ``[B, 1 + L, C]``.
            masks: From :func:`token_masks`, ``[B, N, 1 + L]``; None will do unless
                :attr:`needs_masks`.

        Returns:
            ``[B, 1 + L, C]``, output projection included.
        """
        plain = self.mode == 'generalized' and self.alpha == 0
        if plain and isinstance(attention, nn.MultiheadAttention):
            x = tokens if attention.batch_first else tokens.transpose(0, 1)
            x = attention(x, x, x, need_weights=False)[0]
            return x if attention.batch_first else x.transpose(0, 1)
        parts = read_attention(attention)
        width = len(parts.weight) // 3
        weight, bias = parts.weight, parts.bias
        values = F.linear(
            tokens, weight[2 * width :], None if bias is None else bias[2 * width :]
        )
        if self.mode == 'mask_weighted':
            values = values * masks.sum(1).unsqueeze(-1)
        elif self.mode == 'mask_guided':
            values = (masks.transpose(1, 2) @ masks).softmax(-1) @ values
        elif self.alpha < 1:
            query, key = F.linear(
                tokens, weight[: 2 * width], None if bias is None else bias[: 2 * width]
            ).chunk(2, -1)
            heads = (parts.num_heads, -1)
            query = parts.norm_query(query.unflatten(-1, heads)).flatten(-2)
            key = parts.norm_key(key.unflatten(-1, heads)).flatten(-2)
            mixed = attend(query, key, values, parts.num_heads)
            values = torch.lerp(mixed, values, self.alpha)
        return parts.project(values)


def build_severance(
    entries: Sequence[Mapping[str, Any]], total: int
) -> dict[int, nn.Module]:
    """Build the layers of a list of severed blocks.

    Args:
        entries: Each has ``block``, its number from 0, or from -1 at the end; ``type``,
            a :class:`PatchSeveranceLayer` where it is left out; and the arguments of
            that type.
        total: Number of blocks.

    Returns:
        Layers by the number of their block.

    Raises:
        TypeError: If it is no list of dicts, or a block is no number.
        ValueError: If an entry names no block, none that there is, or one twice.
    """
    if isinstance(entries, (str, Mapping)) or not all(
        isinstance(x, Mapping) for x in entries
    ):
        raise TypeError(
            f'severance is a list such as [dict(block=-1, alpha=1.0)], got {entries!r}.'
        )
    layers: dict[int, nn.Module] = {}
    for entry in entries:
        arguments = dict(entry)
        if 'block' not in arguments:
            raise ValueError(
                f'An entry of severance needs block, the number of a block: {entry}.'
            )
        block = arguments.pop('block')
        if not isinstance(block, int) or isinstance(block, bool):
            raise TypeError(f'block is a whole number, got {block!r}: {entry}.')
        index = block + total if block < 0 else block
        if not 0 <= index < total:
            raise ValueError(
                f'There is no block {block}: the tower has {total}, numbered from 0 '
                '(or, to sever, from -1 at the end).'
            )
        if index in layers:
            raise ValueError(f'Block {block} is severed twice: {list(entries)}.')
        arguments.setdefault('type', 'mmovseg.PatchSeveranceLayer')
        layers[index] = MODELS.build(arguments)
    return layers


def needs_masks(layer: nn.Module) -> bool:
    """Whether a severance reads the masks; one that does not say so does not."""
    return getattr(layer, 'needs_masks', False)


def needs_grid(layer: nn.Module) -> bool:
    """Whether a severance reads the grid of patches; by default it does not."""
    return getattr(layer, 'needs_grid', False)


def is_identity(layer: nn.Module) -> bool:
    """Whether a severance leaves its block as it is."""
    return getattr(layer, 'is_identity', False)


def run_severed(
    block: nn.Module,
    layer: nn.Module,
    tokens: Tensor,
    masks: Tensor | None = None,
    keep: Callable[[Tensor], Tensor] | None = None,
    *,
    grid: tuple[int, int] | None = None,
) -> Tensor:
    """Run a block of a ViT with severed attention.

    Args:
        block: Of open_clip, timm, mmseg or mmpretrain.
        layer: What takes the place of its attention.
        tokens: Class token, prompts and patches, ``[B, T, C]``.
        masks: Proposals by token, ``[B, N, 1 + L]``, if the layer needs them.
        keep: Drops the tokens that end here, once they have been attended to.
        grid: Height and width of the grid of patches, if the layer needs it.

    Returns:
        ``[B, 1 + L, C]``.
    """
    parts = read_block(block)
    assert parts is not None
    more = dict(grid=grid) if needs_grid(layer) else {}
    update = layer(parts.attention, parts.norm(tokens), masks, **more)
    if keep is not None:
        tokens, update = keep(tokens), keep(update)
    tokens = getattr(layer, 'residual_scale', 1.0) * tokens + parts.add(update)
    return parts.finish(tokens) if getattr(layer, 'feed_forward', True) else tokens
