"""Text prompt learning."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS


@MODELS.register_module()
class PromptLearner(BaseModule):
    """Learned vectors around the tokens of a name: ``prefix name suffix .``.

    Args:
        prefix_length: Vectors before the name.
        suffix_length: Vectors between the name and the full stop.
        channels: Width of the text tower; set by the text classifier.
        frozen: Whether the vectors keep the weights they have.
        init_cfg: Not used; vectors start from ``N(0, 0.02)``.

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
        super().__init__(init_cfg)
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
        """Put the learned vectors around a name, as negative token ids.

        Args:
            name: Token ids of a name.
        """
        ids = [-1 - place for place in range(self.num_all)]
        return [*ids[: self.num_before], *name, *ids[self.num_before :]]

    def table(self, tokens: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Gather the vectors that tokens stand for in a small token table.

        Args:
            tokens: Token ids, those of :meth:`surround` negative, ``[P, T]``.
            embedding: The text tower's own token table, ``[V, C]``.

        Returns:
            The rows that occur, ``[n, C]``, and the tokens as their indices,
            ``[P, T]``. The order of ids is kept, so the largest stays the largest.
        """
        ids, indices = tokens.unique(return_inverse=True)  # sorted, learned ones first
        learned = torch.cat([x for x in (self.prefix, self.suffix) if x is not None])
        known = embedding[ids[ids >= 0]]
        rows = torch.cat([learned[-1 - ids[ids < 0]].to(known.dtype), known])
        return rows, indices
