"""Frozen CLIP image towers."""

from .clip_conv_backbone import CLIPConvBackbone
from .clip_vit_backbone import CLIPViTBackbone

__all__ = ['CLIPConvBackbone', 'CLIPViTBackbone']
