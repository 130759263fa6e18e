"""The decoder of EOV-Seg with cross-attention."""

from __future__ import annotations

from mmovseg.registry import MODELS

from ..layers import CrossAttentionStage
from .lite_decoder import LiteDecoder


@MODELS.register_module()
class CrossAttentionDecoder(LiteDecoder):
    """A :class:`LiteDecoder` whose stages attend to pixels (CA).

    It takes the same arguments. Source: EOV-Seg, table 5; a stand-in, see
    :class:`~mmovseg.models.layers.CrossAttentionStage`.
    """

    stage_type = CrossAttentionStage
