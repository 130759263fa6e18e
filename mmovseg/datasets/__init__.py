"""Datasets, samplers and transforms that mmdet and mmseg lack."""

from .class_crops import ClassCrops
from .panoptic_dataset import PanopticDataset
from .seeded_sampler import SeededSampler
from .transforms import (
    CropClass,
    KeepSeenClasses,
    LoadImageFromFile,
    LoadPanopticAnnotations,
    LoadSemanticAnnotations,
    SeedSample,
)

__all__ = [
    'ClassCrops',
    'CropClass',
    'KeepSeenClasses',
    'LoadImageFromFile',
    'LoadPanopticAnnotations',
    'LoadSemanticAnnotations',
    'PanopticDataset',
    'SeedSample',
    'SeededSampler',
]
