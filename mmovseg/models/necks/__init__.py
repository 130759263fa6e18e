"""Necks."""

from .ms_deform_pixel_decoder import MSDeformPixelDecoder
from .vas_neck import VASNeck

__all__ = ['MSDeformPixelDecoder', 'VASNeck']
