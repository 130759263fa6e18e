"""Operations, in the manner of ``mmcv.ops``: the formula, and a fast form of it.

One file per operation. ``dispatch.py`` decides which form runs; inside ``with
plain():`` it is the formula.
"""

from .dispatch import plain
from .layout import keep_layout, to_channels_last
from .make_masks import make_masks
from .mask_pool import MapToPool, mask_pool, mask_sum
from .precision import (
    at_least_float32,
    layer_norm_float32,
    to_autocast,
    without_autocast,
)
from .resize_masks import has_size, resize_masks, soft_masks
from .to_device_async import to_device_async

__all__ = [
    'MapToPool',
    'at_least_float32',
    'has_size',
    'keep_layout',
    'layer_norm_float32',
    'make_masks',
    'mask_pool',
    'mask_sum',
    'plain',
    'resize_masks',
    'soft_masks',
    'to_autocast',
    'to_channels_last',
    'to_device_async',
    'without_autocast',
]
