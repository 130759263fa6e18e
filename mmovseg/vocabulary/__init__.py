"""Vocabularies and prompt templates; standard library only."""

from .names import name_key
from .templates import get_templates
from .vocabulary import Vocabulary

__all__ = ['Vocabulary', 'get_templates', 'name_key']
