"""Datasets, samplers and transforms that mmdet and mmseg lack."""

from .panoptic_dataset import PanopticDataset
from .seeded_sampler import SeededSampler
from .transforms import LoadImageFromFile, LoadPanopticAnnotations, SeedSample

__all__ = [
    'LoadImageFromFile',
    'LoadPanopticAnnotations',
    'PanopticDataset',
    'SeedSample',
    'SeededSampler',
]
