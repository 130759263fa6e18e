"""FC-CLIP: the parts that EOV-Seg's segmentor needs to become it."""

from .masked_attention_decoder import MaskedAttentionDecoder
from .ms_deform_neck import MSDeformNeck

__all__ = ['MSDeformNeck', 'MaskedAttentionDecoder']
