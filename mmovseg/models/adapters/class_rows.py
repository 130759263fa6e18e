"""Learned rows in place of names, for models of fixed classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

from ..structures import TextEmbeddings


@MODELS.register_module()
class ClassRows(BaseModule):
    """One learned unit row per class and for void, where :class:`PartText` has names.

    Args:
        vocabulary: The classes; their number and thing flags count.
        embed_dims: D, the width of the rows.
        init_cfg: MMEngine's initialization config.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        embed_dims: int,
        *,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.vocabulary = self.train_vocabulary = vocabulary
        self.embed_dims = embed_dims
        count = len(vocabulary)
        self.rows = nn.Embedding(count + 1, embed_dims)
        self.register_buffer('class_ids', torch.arange(count + 1), persistent=False)

    def forward(self) -> TextEmbeddings:
        """Return the rows, ``[K + 1, D]``."""
        rows = F.normalize(self.rows.weight, dim=-1)
        return TextEmbeddings(rows, self.class_ids, len(self.vocabulary))
