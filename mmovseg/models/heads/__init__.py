"""Heads that embed regions, so that they can be compared with names."""

from .cal_head import CALHead
from .conv_cal_head import ConvCALHead
from .mask_embed_head import MaskEmbedHead
from .mask_pool_head import MaskPoolHead
from .tdee_head import TDEEHead

__all__ = ['CALHead', 'ConvCALHead', 'MaskEmbedHead', 'MaskPoolHead', 'TDEEHead']
