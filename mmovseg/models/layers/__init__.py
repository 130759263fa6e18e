"""Small modules that several parts are made of."""

from .attention_repair_layer import AttentionRepairLayer
from .backbone_arguments import (
    read_out_indices,
    refuse_init_cfg,
    unfreeze_stages,
)
from .feature_channels import (
    check_maps,
    measure_channels,
    measure_maps,
    measure_one_map,
)
from .fpn_pixel_decoder import FPNPixelDecoder
from .init import init_linear
from .patch_severance_layer import (
    PatchSeveranceLayer,
    build_severance,
    is_identity,
    needs_grid,
    needs_masks,
    run_severed,
    token_masks,
)
from .region_layers import (
    check_spatial_channels,
    embedding_mlp,
    initial_logit_scale,
    pool_projection,
)
from .sine_position import sine_position
from .transformer_decoder_layer import TransformerDecoderLayer
from .vit_blocks import find_blocks

__all__ = [
    'AttentionRepairLayer',
    'FPNPixelDecoder',
    'PatchSeveranceLayer',
    'TransformerDecoderLayer',
    'build_severance',
    'check_maps',
    'check_spatial_channels',
    'embedding_mlp',
    'find_blocks',
    'init_linear',
    'initial_logit_scale',
    'is_identity',
    'measure_channels',
    'measure_maps',
    'measure_one_map',
    'needs_grid',
    'needs_masks',
    'pool_projection',
    'read_out_indices',
    'refuse_init_cfg',
    'run_severed',
    'sine_position',
    'token_masks',
    'unfreeze_stages',
]
