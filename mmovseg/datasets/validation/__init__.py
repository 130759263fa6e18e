"""Checks of a dataset before anything is trained on it."""

from .check_names import compare_names
from .check_panoptic import PanopticCheck
from .check_semantic import SemanticCheck
from .findings import Findings, ImageFindings, Summary

__all__ = [
    'Findings',
    'ImageFindings',
    'PanopticCheck',
    'SemanticCheck',
    'Summary',
    'compare_names',
]
