"""From masks and class logits to results."""

from .mask_fusion import MaskFusion

__all__ = ['MaskFusion']
