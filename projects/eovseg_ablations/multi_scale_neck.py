"""Maps of several scales for the decoder (table 5)."""

from __future__ import annotations

from torch import Tensor, nn

from mmovseg.models import VASNeck
from mmovseg.models.structures import TextEmbeddings
from mmovseg.registry import MODELS


@MODELS.register_module()
class MultiScaleNeck(VASNeck):
    """A neck that also returns maps of the aggregator's top-down path.

    Args:
        in_channels: See :class:`~mmovseg.models.VASNeck`.
        text_channels: See :class:`~mmovseg.models.VASNeck`.
        num_levels: The number of these maps, the coarsest ones.
        hidden_channels: See :class:`~mmovseg.models.VASNeck`.
        out_channels: See :class:`~mmovseg.models.VASNeck`.
        init_cfg: MMEngine's initialization config.

    Raises:
        ValueError: If ``num_levels`` reaches the finest map.

    Source: EOV-Seg, table 5. Deviates: it says no more than "multi-scale"; projecting
    the top-down path is a stand-in.
    """

    def __init__(
        self,
        in_channels: tuple[int, ...],
        text_channels: int | None = None,
        *,
        num_levels: int,
        hidden_channels: int = 128,
        out_channels: int = 256,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            text_channels,
            hidden_channels=hidden_channels,
            out_channels=out_channels,
            init_cfg=init_cfg,
        )
        if not 1 <= num_levels < len(in_channels):
            raise ValueError(
                f'num_levels must be in [1, {len(in_channels) - 1}], got {num_levels}.'
            )
        self.levels = nn.ModuleList(
            nn.Conv2d(width // 2, out_channels, 1)
            for width in tuple(in_channels)[::-1][:num_levels]
        )

    def forward(
        self, features: tuple[Tensor, ...], text: TextEmbeddings | None = None
    ) -> tuple[Tensor, ...]:
        """Fuse the maps of a backbone.

        Args:
            features: ``[B, C_i, H_i, W_i]``, finest first.
            text: The vocabulary; needed unless ``text_channels`` is None.

        Returns:
            Mask features ``[B, C, H_0, W_0]``, then the levels ``[B, C, H_i, W_i]``,
            coarsest first.
        """
        maps = self.aggregator.top_down(features)
        mask_features = self.select(self.aggregator.aggregate(maps), text)
        levels = zip(self.levels, maps, strict=False)
        return mask_features, *(project(x) for project, x in levels)
