"""The neck of EOV-Seg."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..layers import LiteAggregator, VocabularyAwareSelection
from ..structures import TextEmbeddings


@MODELS.register_module()
class VASNeck(BaseModule):
    """Aggregate four maps to stride 4, then select by vocabulary.

    Args:
        in_channels: Channels of the maps, finest first.
        text_channels: Width D of the text embeddings; None aggregates only, also in a
            segmentor (VAS off).
        hidden_channels: Width of the sum inside the aggregator.
        out_channels: Channels C of the result.
        num_levels: Also return so many maps of the aggregator's top-down path, for a
            decoder that interacts with several scales.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: If ``num_levels`` reaches the finest map.

    Source: EOV-Seg, lite aggregator and vocabulary-aware selection. Deviates: table 5
    says no more than "multi-scale"; projecting the top-down path is a stand-in.
    """

    def __init__(
        self,
        in_channels: tuple[int, ...],
        text_channels: int | None = None,
        *,
        hidden_channels: int = 128,
        out_channels: int = 256,
        num_levels: int = 0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.aggregator = LiteAggregator(
            tuple(in_channels), hidden_channels, out_channels
        )
        self.selection = None
        if text_channels is not None:
            self.selection = VocabularyAwareSelection(out_channels, text_channels)
        if not 0 <= num_levels < len(in_channels):
            raise ValueError(
                f'num_levels must be in [0, {len(in_channels) - 1}], got {num_levels}.'
            )
        self.levels = nn.ModuleList(
            nn.Conv2d(width // 2, out_channels, 1)
            for width in tuple(in_channels)[::-1][:num_levels]
        )

    def forward(
        self, features: tuple[Tensor, ...], text: TextEmbeddings | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """Fuse the maps of a backbone.

        Args:
            features: ``[B, C_i, H_i, W_i]``, finest first.
            text: The vocabulary; needed unless ``text_channels`` is None.

        Returns:
            ``[B, C, H_0, W_0]``; with ``num_levels``, a tuple of this and of so many
            ``[B, C, H_i, W_i]``, coarsest first.

        Raises:
            ValueError: If the vocabulary is missing.
        """
        maps = self.aggregator.top_down(features)
        fused = self.aggregator.aggregate(maps)
        if self.selection is not None:
            if text is None:
                raise ValueError(
                    'VASNeck selects by vocabulary: pass TextEmbeddings, or build it '
                    'with text_channels=None to aggregate only.'
                )
            fused = self.selection(fused, text.weight)
        if not self.levels:
            return fused
        levels = zip(self.levels, maps, strict=False)
        return fused, *(project(x) for project, x in levels)
