"""Frozen CLIP image towers."""

from .clip_conv_backbone import CLIPConvBackbone
from .clip_vit_backbone import CLIPViTBackbone
from .dense_clip_vit import DenseCLIPViT
from .visual_prompt import AddedPrompt, PrependedPrompt

__all__ = [
    'AddedPrompt',
    'CLIPConvBackbone',
    'CLIPViTBackbone',
    'DenseCLIPViT',
    'PrependedPrompt',
]
