"""The variants of EOV-Seg that its tables 4 and 5 compare it with."""

from .cross_attention_decoder import CrossAttentionDecoder
from .early_fusion_decoder import EarlyFusionDecoder
from .multi_scale_decoder import MultiScaleDecoder
from .multi_scale_neck import MultiScaleNeck
from .sdi_head import SDIHead

__all__ = [
    'CrossAttentionDecoder',
    'EarlyFusionDecoder',
    'MultiScaleDecoder',
    'MultiScaleNeck',
    'SDIHead',
]
