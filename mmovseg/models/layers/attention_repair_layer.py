"""Repairs of the last attention of a CLIP, for patches that name what they lie on."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..ops import at_least_float32, attend, without_autocast
from .vit_blocks import read_attention


class _Mode(NamedTuple):
    pairs: tuple[str, ...]  # what is compared with itself; nothing: values alone
    plain: bool  # no residual sum, no feed-forward network
    near: bool = False  # neighbors count more
    turned: bool = False  # queries are compared with keys that are turned to them


MODES = {
    'sclip': _Mode(('query', 'key'), plain=False),
    'clearclip': _Mode(('query',), plain=True),
    'naclip': _Mode(('key',), plain=True, near=True),
    'maskclip': _Mode((), plain=True),
    'pearl': _Mode((), plain=False, turned=True),
}


@MODELS.register_module()
class AttentionRepairLayer(nn.Module):
    """Replace the attention of a block of a CLIP ViT; there is nothing to train.

    A sibling of :class:`PatchSeveranceLayer` and, like it, an entry of ``severance``:
    ``dict(block=-1, type='AttentionRepairLayer', mode='clearclip')``. All modes are
    made for the last block. For queries ``q``, keys ``k`` and values ``v`` of all
    tokens and heads of ``c`` channels:

    * ``'sclip'``: ``(softmax(q qᵀ / √c) + softmax(k kᵀ / √c)) v``, in a block that is
      as it was otherwise. Source: SCLIP, arXiv 2312.01597, section 3.2.
    * ``'clearclip'``: ``softmax(q qᵀ / √c) v``, and the block ends there: no residual
      sum, no feed-forward network. Source: ClearCLIP, arXiv 2407.12442, section 3.
    * ``'naclip'``: ``softmax(k kᵀ / √c + w) v``; the block ends likewise; ``w`` is a
      Gaussian of the distance of two patches, at most 1. Source: NACLIP, arXiv
      2404.08181, section 3.
    * ``'maskclip'``: ``v``, and the block ends likewise. Source: MaskCLIP, arXiv
      2112.01071, section 3.2, whose formula is of values and projections alone. With
      the residual sum and the network it is ``PatchSeveranceLayer(alpha=1)``.
    * ``'pearl'``: ``softmax(q (k r)ᵀ / √c) v``, in a block that is as it was otherwise.
      ``r`` is the rotation that brings the keys of a head nearest to its queries; see
      :func:`turn_keys`. Source: the abstract of PEARL, arXiv 2603.21528, and the
      closed form of orthogonal Procrustes problems. The second step of PEARL, which
      smooths the scores of classes, is no part of a CLIP and is not here.

    Args:
        mode: One of the five.
        residual_scale: Factor of the block's input in the residual sum; None is that
            of the mode.
        feed_forward: Whether the block goes on with its feed-forward network; None is
            what the mode says.
        gaussian_std: Standard deviation of ``w``, in patches, for ``naclip`` only;
            None is 5.

    Raises:
        ValueError: If the mode is unknown, ``residual_scale`` is not finite,
            ``feed_forward`` is no bool, or ``gaussian_std`` is not above 0 or given for
            another mode.
    """

    needs_masks = False
    is_identity = False

    def __init__(
        self,
        mode: str,
        *,
        residual_scale: float | None = None,
        feed_forward: bool | None = None,
        gaussian_std: float | None = None,
    ) -> None:
        super().__init__()
        if mode not in tuple(MODES):
            raise ValueError(f'mode must be one of {tuple(MODES)}, got {mode!r}.')
        self.mode = mode
        self._form = form = MODES[mode]
        if gaussian_std is None:
            gaussian_std = 5.0
        elif not form.near:
            raise ValueError(f"gaussian_std is for mode 'naclip', not {mode!r}.")
        if not gaussian_std > 0:
            raise ValueError(f'gaussian_std must be above 0, got {gaussian_std}.')
        if residual_scale is None:
            residual_scale = 0.0 if form.plain else 1.0
        if not math.isfinite(residual_scale):
            raise ValueError(f'residual_scale must be finite, got {residual_scale}.')
        self.residual_scale = residual_scale
        if feed_forward not in (None, True, False):
            raise ValueError(f'feed_forward is True or False, got {feed_forward!r}.')
        self.feed_forward = not form.plain if feed_forward is None else feed_forward
        self.gaussian_std = gaussian_std

    @property
    def needs_grid(self) -> bool:
        """Whether :meth:`forward` reads the grid of patches."""
        return self._form.near

    def forward(
        self,
        attention: nn.Module,
        tokens: Tensor,
        masks: Any = None,
        grid: tuple[int, int] | None = None,
    ) -> Tensor:
        """Compute what the block adds to its input.

        Args:
            attention: The block's own attention; see :class:`PatchSeveranceLayer`.
            tokens: Normed input of the block, ``[B, 1 + L, C]``.
            masks: Not read.
            grid: Height and width of the grid of L patches, if :attr:`needs_grid`.

        Returns:
            ``[B, 1 + L, C]``, output projection included.
        """
        parts = read_attention(attention)
        query, key, values = F.linear(tokens, parts.weight, parts.bias).chunk(3, -1)
        heads = (parts.num_heads, -1)
        compared = dict(
            query=parts.norm_query(query.unflatten(-1, heads)).flatten(-2),
            key=parts.norm_key(key.unflatten(-1, heads)).flatten(-2),
        )
        near = None
        if self.needs_grid:
            assert grid is not None
            near = gaussian_nearness(grid, self.gaussian_std).to(values)[None]
        if self._form.turned:
            key = turn_keys(compared['query'], compared['key'], parts.num_heads)
            return parts.project(
                attend(compared['query'], key, values, parts.num_heads)
            )
        if not self._form.pairs:
            return parts.project(values)
        mixed = [
            attend(compared[x], compared[x], values, parts.num_heads, near)
            for x in self._form.pairs
        ]
        return parts.project(sum(mixed[1:], mixed[0]))


def turn_keys(query: Tensor, key: Tensor, num_heads: int) -> Tensor:
    """Turn the keys of every head so that they are nearest to its queries.

    Args:
        query: Of all tokens, ``[B, L, C]``.
        key: The same, ``[B, L, C]``.
        num_heads: Parts of the channels, of c each.

    Returns:
        ``k r``, ``[B, L, C]``, where ``r`` is orthogonal, ``[c, c]``, and ``‖k r - q‖``
        is least: ``u vᵀ`` of the singular value decomposition ``u s vᵀ = kᵀ q``.

    Example:
        >>> key = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
        >>> query = torch.tensor([[[0.0, 1.0], [-2.0, 0.0]]])  # turned by 90 degrees
        >>> turn_keys(query, key, num_heads=1).round().tolist()
        [[[0.0, 1.0], [-2.0, 0.0]]]
    """
    q, k = (
        at_least_float32(x).unflatten(-1, (num_heads, -1)).transpose(1, 2)
        for x in (query, key)
    )
    with without_autocast(k.device):
        u, _, v = torch.linalg.svd(k.mT @ q)  # [B, heads, c, c]; v is transposed
        turned = k @ u @ v
    return turned.transpose(1, 2).flatten(2).to(key.dtype)


def gaussian_nearness(grid: tuple[int, int], std: float) -> Tensor:
    """Rate how near patches are to each other; the class token is near to nothing.

    Args:
        grid: Height and width of the grid of L patches.
        std: Standard deviation, in patches.

    Returns:
        ``exp(-d² / (2 std²))`` of distance d, 0 for the class token, which comes
        first; float32, ``[1 + L, 1 + L]``.

    Example:
        >>> nearness = gaussian_nearness((1, 3), std=1.0)
        >>> [round(x, 2) for x in nearness[1].tolist()]
        [0.0, 1.0, 0.61, 0.14]
    """
    rows, columns = (torch.arange(length, dtype=torch.float32) for length in grid)
    places = torch.cartesian_prod(rows, columns)  # [L, 2]
    distances = torch.cdist(places, places, compute_mode='donot_use_mm_for_euclid_dist')
    return F.pad((-(distances**2) / (2 * std**2)).exp(), (1, 0, 1, 0))
