"""Transforms; all but the loading of masks and boxes do without mmcv and mmdet."""

from .base_transform import BaseTransform
from .crop_class import CropClass
from .inferencer_loader import InferencerLoader
from .keep_seen_classes import KeepSeenClasses
from .load_image_from_file import LoadImageFromFile
from .load_panoptic_annotations import LoadPanopticAnnotations
from .load_semantic_annotations import LoadSemanticAnnotations
from .pack_inputs import PackInputs
from .resize import Resize
from .resize_shortest_edge import ResizeShortestEdge
from .seed_sample import SeedSample

__all__ = [
    'BaseTransform',
    'CropClass',
    'InferencerLoader',
    'KeepSeenClasses',
    'LoadImageFromFile',
    'LoadPanopticAnnotations',
    'LoadSemanticAnnotations',
    'PackInputs',
    'Resize',
    'ResizeShortestEdge',
    'SeedSample',
]
