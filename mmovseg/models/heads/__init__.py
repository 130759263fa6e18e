"""Heads that make masks and region embeddings."""

from .cal_head import CALHead
from .conv_cal_head import ConvCALHead
from .lite_decoder import LiteDecoder
from .mask_former_proposals import MaskFormerProposals
from .mask_pool_head import MaskPoolHead
from .mmdet_proposals import MMDetProposals
from .tdee_head import TDEEHead

__all__ = [
    'CALHead',
    'ConvCALHead',
    'LiteDecoder',
    'MMDetProposals',
    'MaskFormerProposals',
    'MaskPoolHead',
    'TDEEHead',
]
