"""Frozen image towers of CLIP, and other frozen backbones."""

from .clip_conv_backbone import CLIPConvBackbone
from .clip_vit_backbone import CLIPViTBackbone
from .dense_clip_vit import DenseCLIPViT
from .resnet_v1c import ResNetV1c
from .severed_vit import SeveredViT
from .timm_vit_backbone import TimmViTBackbone
from .visual_prompt import AddedPrompt, PrependedPrompt

__all__ = [
    'AddedPrompt',
    'CLIPConvBackbone',
    'CLIPViTBackbone',
    'DenseCLIPViT',
    'PrependedPrompt',
    'ResNetV1c',
    'SeveredViT',
    'TimmViTBackbone',
]
