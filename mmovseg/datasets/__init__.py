"""Datasets, samplers and transforms that mmdet and mmseg lack."""

# First, as all others import what this imports quietly.
from . import quiet_imports  # noqa: F401, I001

from .aspect_batch_sampler import AspectBatchSampler
from .cityscapes_panoptic_dataset import CityscapesPanopticDataset
from .class_crops import ClassCrops
from .panoptic_dataset import PanopticDataset
from .seeded_sampler import SeededSampler
from .semantic_dataset import SemanticDataset
from .transforms import (
    CropClass,
    KeepSeenClasses,
    LoadImageFromFile,
    LoadPanopticAnnotations,
    LoadSemanticAnnotations,
    SeedSample,
)

__all__ = [
    'AspectBatchSampler',
    'CityscapesPanopticDataset',
    'ClassCrops',
    'CropClass',
    'KeepSeenClasses',
    'LoadImageFromFile',
    'LoadPanopticAnnotations',
    'LoadSemanticAnnotations',
    'PanopticDataset',
    'SeedSample',
    'SeededSampler',
    'SemanticDataset',
]
