"""Datasets, samplers and transforms that mmdet and mmseg lack."""

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
    'CropClass',
    'KeepSeenClasses',
    'LoadImageFromFile',
    'LoadPanopticAnnotations',
    'LoadSemanticAnnotations',
    'PanopticDataset',
    'SeedSample',
    'SeededSampler',
]
