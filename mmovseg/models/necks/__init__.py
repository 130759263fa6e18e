"""Necks."""

from .vas_neck import VASNeck

__all__ = ['VASNeck']
