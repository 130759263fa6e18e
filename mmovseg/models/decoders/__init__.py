"""Decoders: from features and text to masks and class logits."""

from .masked_attention_decoder import MaskedAttentionDecoder

__all__ = ['MaskedAttentionDecoder']
