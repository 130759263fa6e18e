"""Decoders: mask features become masks and class logits."""

from .lite_decoder import LiteDecoder
from .masked_attention_decoder import MaskedAttentionDecoder

__all__ = ['LiteDecoder', 'MaskedAttentionDecoder']
