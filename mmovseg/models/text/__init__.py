"""Text towers: from a vocabulary to a matrix."""

from .prompt_learner import PromptLearner
from .text_classifier import TextClassifier
from .text_tower import TextTower

__all__ = ['PromptLearner', 'TextClassifier', 'TextTower']
