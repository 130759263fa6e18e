"""Necks."""

from .length_normalized_vas_neck import LengthNormalizedVASNeck
from .ms_deform_pixel_decoder import MSDeformPixelDecoder
from .vas_neck import VASNeck

__all__ = ['LengthNormalizedVASNeck', 'MSDeformPixelDecoder', 'VASNeck']
