"""From masks and class logits to results."""

from .mask_fusion import MaskFusion
from .mask_fusion_head import MaskFusionHead

__all__ = ['MaskFusion', 'MaskFusionHead']
