"""Text prompt learning."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..layers import refuse_init_cfg


@MODELS.register_module()
class PromptLearner(BaseModule):
    """Learn vectors that stand around the tokens of a name.

    A learned vector has no token, so its place gets a negative id. With
    ``prefix_length=2``, ``suffix_length=1`` and the name ``traffic light``::

        prompt   start  learned  learned  traffic  light  learned  .    end
        tokens   49406  -1       -2       4399     1395   -3       269  49407
        vector   table  prefix0  prefix1  table    table  suffix0  table table

    :meth:`surround` makes such ids from those of a name. :meth:`forward` replaces the
    vectors at the negative ones, ``-1 - i`` by the learned vector ``i``. The end of the
    text still has the largest id, where CLIP looks for it.

    Args:
        prefix_length: Vectors before the name.
        suffix_length: Vectors between the name and the full stop.
        channels: Width of the text tower; set by the text classifier.
        frozen: Whether the vectors keep the weights they have.
        init_cfg: Refused; vectors start from ``N(0, 0.02)``.

    Raises:
        ValueError: If there is no vector at all.

    Source: DeOP, section 3.2, after CoOp (arXiv 2109.01134); lengths, start and the
    full stop from released code.
    """

    def __init__(
        self,
        prefix_length: int = 16,
        suffix_length: int = 0,
        *,
        channels: int,
        frozen: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        refuse_init_cfg(self, init_cfg)
        if min(prefix_length, suffix_length) < 0 or prefix_length + suffix_length == 0:
            raise ValueError(
                'prefix_length and suffix_length must not be negative, nor both 0, got '
                f'{prefix_length} and {suffix_length}.'
            )
        # None, and so no entry in checkpoints, where there is none.
        for name, length in (('prefix', prefix_length), ('suffix', suffix_length)):
            vectors = nn.Parameter(0.02 * torch.randn(length, channels))
            self.register_parameter(name, vectors if length else None)
        self.num_before = prefix_length
        self.num_all = prefix_length + suffix_length
        self.requires_grad_(not frozen)

    def init_weights(self) -> None:
        """Keep what the constructor drew."""

    def surround(self, name: list[int]) -> list[int]:
        """Put the places of the learned vectors around the token ids of a name."""
        ids = [-1 - place for place in range(self.num_all)]
        return [*ids[: self.num_before], *name, *ids[self.num_before :]]

    def forward(self, vectors: Tensor, tokens: Tensor) -> Tensor:
        """Put the learned vectors in their places.

        Args:
            vectors: One per token, ``[P, T, C]``; those of negative ids do not matter.
            tokens: Token ids, ``[P, T]``.

        Returns:
            ``[P, T, C]``.
        """
        learned = torch.cat([x for x in (self.prefix, self.suffix) if x is not None])
        chosen = learned.to(vectors.dtype)[(-1 - tokens).clamp(min=0)]
        return torch.where((tokens < 0).unsqueeze(-1), chosen, vectors)
