"""Heads that make masks and region embeddings."""

from .lite_decoder import LiteDecoder
from .tdee_head import TDEEHead

__all__ = ['LiteDecoder', 'TDEEHead']
