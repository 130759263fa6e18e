"""Transforms that mmcv, mmdet and mmseg lack."""

from .seed_sample import SeedSample

__all__ = ['SeedSample']
