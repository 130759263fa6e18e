"""Small modules that parts are made of; none is named in a config."""

from .channel_layer_norm import ChannelLayerNorm
from .decoder_stage import DecoderStage
from .deformable_upsample import DeformableUpsample
from .dynamic_depthwise_attention import DynamicDepthwiseAttention
from .feature_channels import measure_channels
from .fpn_pixel_decoder import FPNPixelDecoder
from .init import init_linear
from .lite_aggregator import LiteAggregator
from .patch_severance_layer import PatchSeveranceLayer, token_masks
from .sine_position import sine_position
from .tdee import TDEE
from .transformer_decoder_layer import TransformerDecoderLayer
from .vocabulary_aware_selection import VocabularyAwareSelection

__all__ = [
    'TDEE',
    'ChannelLayerNorm',
    'DecoderStage',
    'DeformableUpsample',
    'DynamicDepthwiseAttention',
    'FPNPixelDecoder',
    'LiteAggregator',
    'PatchSeveranceLayer',
    'TransformerDecoderLayer',
    'VocabularyAwareSelection',
    'init_linear',
    'measure_channels',
    'sine_position',
    'token_masks',
]
