"""Vocabularies and prompt templates; standard library only."""

from .examples import Example
from .names import name_key
from .templates import get_templates
from .vocabulary import Vocabulary

__all__ = ['Example', 'Vocabulary', 'get_templates', 'name_key']
