"""mmovseg: open-vocabulary segmentation for OpenMMLab."""

from .version import __version__

__all__ = ['__version__']
