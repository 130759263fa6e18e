"""Complete models."""

from .base import OVSegmentor
from .eovseg import EOVSeg

__all__ = ['EOVSeg', 'OVSegmentor']
