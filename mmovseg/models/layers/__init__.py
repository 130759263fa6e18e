"""Small modules that parts are made of; none is named in a config."""

from .channel_layer_norm import ChannelLayerNorm
from .cross_attention_stage import CrossAttentionStage
from .decoder_stage import DecoderStage
from .deformable_upsample import DeformableUpsample
from .dynamic_depthwise_attention import DynamicDepthwiseAttention
from .feature_channels import measure_channels
from .fpn_pixel_decoder import FPNPixelDecoder
from .init import init_linear
from .lite_aggregator import LiteAggregator
from .patch_severance_layer import PatchSeveranceLayer, token_masks
from .region_layers import (
    check_spatial_channels,
    embedding_mlp,
    initial_logit_scale,
    pool_projection,
)
from .separable_dynamic_interaction import SeparableDynamicInteraction
from .sine_position import sine_position
from .spatial_upsample import SpatialUpsample
from .tdee import TDEE
from .transformer_decoder_layer import TransformerDecoderLayer
from .vocabulary_aware_selection import VocabularyAwareSelection

__all__ = [
    'TDEE',
    'ChannelLayerNorm',
    'CrossAttentionStage',
    'DecoderStage',
    'DeformableUpsample',
    'DynamicDepthwiseAttention',
    'FPNPixelDecoder',
    'LiteAggregator',
    'PatchSeveranceLayer',
    'SeparableDynamicInteraction',
    'SpatialUpsample',
    'TransformerDecoderLayer',
    'VocabularyAwareSelection',
    'check_spatial_channels',
    'embedding_mlp',
    'init_linear',
    'initial_logit_scale',
    'measure_channels',
    'pool_projection',
    'sine_position',
    'token_masks',
]
