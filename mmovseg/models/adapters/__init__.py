"""What lets our parts stand in models of mmseg and mmdet, by configuration."""

from .class_rows import ClassRows
from .mask_decode_head import MaskDecodeHead
from .mask_panoptic_head import MaskPanopticHead
from .part_text import PartText
from .text_head import TextHead
from .text_linear import TextLinear

__all__ = [
    'ClassRows',
    'MaskDecodeHead',
    'MaskPanopticHead',
    'PartText',
    'TextHead',
    'TextLinear',
]
