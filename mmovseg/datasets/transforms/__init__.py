"""Transforms that mmcv, mmdet and mmseg lack."""

from .crop_class import CropClass
from .keep_seen_classes import KeepSeenClasses
from .load_image_from_file import LoadImageFromFile
from .load_panoptic_annotations import LoadPanopticAnnotations
from .load_semantic_annotations import LoadSemanticAnnotations
from .seed_sample import SeedSample

__all__ = [
    'CropClass',
    'KeepSeenClasses',
    'LoadImageFromFile',
    'LoadPanopticAnnotations',
    'LoadSemanticAnnotations',
    'SeedSample',
]
