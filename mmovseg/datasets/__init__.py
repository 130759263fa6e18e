"""Datasets, samplers and transforms that mmdet and mmseg lack."""

from .seeded_sampler import SeededSampler

__all__ = ['SeededSampler']
