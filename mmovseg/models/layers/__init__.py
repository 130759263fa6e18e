"""Small modules that several parts are made of; none is named in a config."""

from .feature_channels import measure_channels
from .fpn_pixel_decoder import FPNPixelDecoder
from .init import init_linear
from .patch_severance_layer import PatchSeveranceLayer, token_masks
from .region_layers import (
    check_spatial_channels,
    embedding_mlp,
    initial_logit_scale,
    pool_projection,
)
from .sine_position import sine_position
from .transformer_decoder_layer import TransformerDecoderLayer

__all__ = [
    'FPNPixelDecoder',
    'PatchSeveranceLayer',
    'TransformerDecoderLayer',
    'check_spatial_channels',
    'embedding_mlp',
    'init_linear',
    'initial_logit_scale',
    'measure_channels',
    'pool_projection',
    'sine_position',
    'token_masks',
]
