"""The neck of EOV-Seg."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor

from mmovseg.registry import MODELS

from ..layers import LiteAggregator, VocabularyAwareSelection
from ..structures import TextEmbeddings


@MODELS.register_module()
class VASNeck(BaseModule):
    """Aggregate four maps to stride 4, then select by vocabulary.

    Args:
        in_channels: Channels of the maps, finest first.
        text_channels: Width D of the text embeddings; None aggregates only.
        hidden_channels: Width of the sum inside the aggregator.
        out_channels: Channels of the result.
        init_cfg: MMEngine's initialisation config.

    Source: EOV-Seg, lite aggregator and vocabulary-aware selection.
    """

    def __init__(
        self,
        in_channels: tuple[int, ...],
        text_channels: int | None = None,
        *,
        hidden_channels: int = 128,
        out_channels: int = 256,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.aggregator = LiteAggregator(
            tuple(in_channels), hidden_channels, out_channels
        )
        self.selection = None
        if text_channels is not None:
            self.selection = VocabularyAwareSelection(out_channels, text_channels)

    def forward(
        self, features: tuple[Tensor, ...], text: TextEmbeddings | None = None
    ) -> Tensor:
        """Fuse the maps of a backbone.

        Args:
            features: ``[B, C_i, H_i, W_i]``, finest first.
            text: The vocabulary; needed unless ``text_channels`` is None.

        Returns:
            ``[B, C, H_0, W_0]``.

        Raises:
            ValueError: If the vocabulary is missing.
        """
        fused = self.aggregator(features)
        if self.selection is None:
            return fused
        if text is None:
            raise ValueError(
                'VASNeck selects by vocabulary: pass TextEmbeddings, or build it '
                'with text_channels=None to aggregate only.'
            )
        return self.selection(fused, text.weight)
