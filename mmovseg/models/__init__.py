"""Models; importing this package registers all of them."""

from . import backbones, fusion, heads, losses, necks

__all__ = ['backbones', 'fusion', 'heads', 'losses', 'necks', 'segmentors', 'text']
