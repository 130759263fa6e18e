"""Transforms that mmcv, mmdet and mmseg lack."""

from .load_image_from_file import LoadImageFromFile
from .load_panoptic_annotations import LoadPanopticAnnotations
from .seed_sample import SeedSample

__all__ = ['LoadImageFromFile', 'LoadPanopticAnnotations', 'SeedSample']
