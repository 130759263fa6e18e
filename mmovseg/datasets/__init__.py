"""Datasets and samplers that mmdet and mmseg lack."""

from ..openmmlab import import_openmmlab

# The transforms were here.
from ..transforms import (
    CropClass,
    KeepSeenClasses,
    LoadImageFromFile,
    LoadPanopticAnnotations,
    LoadSemanticAnnotations,
    SeedSample,
)

import_openmmlab('mmdet.datasets', 'mmseg.datasets', need='Datasets need')

from .aspect_batch_sampler import AspectBatchSampler  # noqa: E402
from .cityscapes_panoptic_dataset import CityscapesPanopticDataset  # noqa: E402
from .class_crops import ClassCrops  # noqa: E402
from .panoptic_dataset import PanopticDataset  # noqa: E402
from .seeded_sampler import SeededSampler  # noqa: E402
from .semantic_dataset import SemanticDataset  # noqa: E402
from .stall_watch import watch_workers  # noqa: E402

watch_workers()

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
