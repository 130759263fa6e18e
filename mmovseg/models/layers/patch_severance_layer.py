"""Patch severance: attention of a pretrained ViT block with less mixing of patches."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import attend, resize_masks

MODES = ('generalized', 'mask_guided', 'mask_weighted')


def token_masks(mask_logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Give every token of a ViT its probability in every mask.

    Args:
        mask_logits: ``[B, N, h, w]``; resized first, then put through a sigmoid.
        size: Height and width of the patch grid.

    Returns:
        ``[B, N, 1 + L]`` in [0, 1]; the class token comes first and is in every mask.
    """
    masks = resize_masks(mask_logits, size).sigmoid().flatten(2)
    return F.pad(masks, (1, 0), value=1.0)


class PatchSeveranceLayer(nn.Module):
    """Replace the attention of one frozen block; there is nothing to train.

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

    def forward(
        self, attention: nn.MultiheadAttention, tokens: Tensor, masks: Any
    ) -> Tensor:
        """Compute what the block adds to its input.

        Args:
            attention: The block's own attention, in either order of its axes.
            tokens: Normed input of the block, ``[B, 1 + L, C]``.
            masks: From :func:`token_masks`, ``[B, N, 1 + L]``; None will do unless
                :attr:`needs_masks`.

        Returns:
            ``[B, 1 + L, C]``, output projection included.
        """
        if self.mode == 'generalized' and self.alpha == 0:
            x = tokens if attention.batch_first else tokens.transpose(0, 1)
            x = attention(x, x, x, need_weights=False)[0]
            return x if attention.batch_first else x.transpose(0, 1)
        channels = attention.embed_dim
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        values = F.linear(tokens, weight[2 * channels :], bias[2 * channels :])
        if self.mode == 'mask_weighted':
            values = values * masks.sum(1).unsqueeze(-1)
        elif self.mode == 'mask_guided':
            values = (masks.transpose(1, 2) @ masks).softmax(-1) @ values
        elif self.alpha < 1:
            mixed = _attend(attention, tokens, values)
            values = torch.lerp(mixed, values, self.alpha)
        return attention.out_proj(values)


def _attend(attention: nn.MultiheadAttention, tokens: Tensor, values: Tensor) -> Tensor:
    """Mix values by the block's own attention, ``[B, T, C]``."""
    channels = attention.embed_dim
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    query, key = F.linear(tokens, weight[: 2 * channels], bias[: 2 * channels]).chunk(
        2, -1
    )
    return attend(query, key, values, attention.num_heads)
