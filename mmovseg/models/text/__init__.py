"""Text towers: from a vocabulary to a matrix."""

from .text_classifier import TextClassifier

__all__ = ['TextClassifier']
