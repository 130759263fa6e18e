"""The pixel decoder of Mask2Former as a neck."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from torch import Tensor

from mmovseg.models.structures import TextEmbeddings
from mmovseg.registry import MODELS


@MODELS.register_module()
class MSDeformNeck(BaseModule):
    """Run ``mmdet.MSDeformAttnPixelDecoder`` on the maps of a backbone.

    It needs mmcv with compiled ops.

    Args:
        pixel_decoder: Its config, as in mmdet's model files, without ``in_channels``.
        in_channels: Channels of the maps, finest first.
        text_channels: Not used: these features do not depend on the vocabulary.
        init_cfg: MMEngine's initialisation config.

    Source: FC-CLIP (arXiv 2308.02487), section 3.3.
    """

    def __init__(
        self,
        pixel_decoder: dict,
        in_channels: Sequence[int],
        *,
        text_channels: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        # A ConfigDict, since mmdet reads nested dicts as attributes.
        config = dict(in_channels=list(in_channels), _scope_='mmdet') | pixel_decoder
        self.pixel_decoder = MODELS.build(ConfigDict(config))

    def forward(
        self, features: tuple[Tensor, ...], text: TextEmbeddings | None = None
    ) -> tuple[Tensor, ...]:
        """Decode the maps.

        Args:
            features: ``[B, C_i, H_i, W_i]``, finest first.
            text: Not used.

        Returns:
            Mask features ``[B, C, H_0, W_0]``, then the levels that the decoder
            attends to, ``[B, C, H_i, W_i]``, coarsest first.
        """
        mask_features, levels = self.pixel_decoder(list(features))
        return mask_features, *levels
