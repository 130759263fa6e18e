"""Operations, in the manner of ``mmcv.ops``: the formula, and a fast form of it.

One file per operation. ``dispatch.py`` decides which form runs; inside ``with
plain():`` it is the formula.
"""

from .attention import attend, cross_attention, masked_attention, self_attention
from .attention_pool import attention_pool
from .best_class import BestClass
from .best_probability import best_probability
from .conv_coordinates import conv_coordinates
from .conv_norm import conv_norm, fold_norm
from .convolve_channels import convolve_channels
from .deform_conv import deform_conv, deform_conv_norm
from .dispatch import gradients, plain
from .first_argmax import first_argmax
from .folded_norms import FoldedNorms, fold_norms
from .layout import keep_layout, to_channels_last
from .make_masks import make_masks
from .mask_area import mask_area
from .mask_pool import MapToPool, mask_pool, mask_sum
from .mask_strips import mask_strips
from .ms_deform_attn import ms_deform_attn
from .patch_conv import PatchConv
from .precision import (
    at_least_float32,
    layer_norm_float32,
    to_autocast,
    without_autocast,
)
from .pyramid import is_pyramid
from .resize_masks import has_size, resize_masks, soft_masks
from .resized_masks import resized_masks
from .to_device_async import to_device_async
from .upsampled_map import upsample_to_pool

__all__ = [
    'BestClass',
    'FoldedNorms',
    'MapToPool',
    'PatchConv',
    'at_least_float32',
    'attend',
    'attention_pool',
    'best_probability',
    'conv_coordinates',
    'conv_norm',
    'convolve_channels',
    'cross_attention',
    'deform_conv',
    'deform_conv_norm',
    'first_argmax',
    'fold_norm',
    'fold_norms',
    'gradients',
    'has_size',
    'is_pyramid',
    'keep_layout',
    'layer_norm_float32',
    'make_masks',
    'mask_area',
    'mask_pool',
    'mask_strips',
    'mask_sum',
    'masked_attention',
    'ms_deform_attn',
    'plain',
    'resize_masks',
    'resized_masks',
    'self_attention',
    'soft_masks',
    'to_autocast',
    'to_channels_last',
    'to_device_async',
    'upsample_to_pool',
    'without_autocast',
]
