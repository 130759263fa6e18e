"""Heads that make masks and region embeddings."""

from .cal_head import CALHead
from .conv_cal_head import ConvCALHead
from .cross_attention_decoder import CrossAttentionDecoder
from .lite_decoder import LiteDecoder
from .mask_embed_head import MaskEmbedHead
from .mask_former_proposals import MaskFormerProposals
from .mask_pool_head import MaskPoolHead
from .mmdet_proposals import MMDetProposals
from .sdi_head import SDIHead
from .tdee_head import TDEEHead

__all__ = [
    'CALHead',
    'ConvCALHead',
    'CrossAttentionDecoder',
    'LiteDecoder',
    'MMDetProposals',
    'MaskEmbedHead',
    'MaskFormerProposals',
    'MaskPoolHead',
    'SDIHead',
    'TDEEHead',
]
