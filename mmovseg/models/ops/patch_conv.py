"""The embedding of patches."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .dispatch import takes_fast


class PatchConv(nn.Conv2d):
    """The convolution of patches that do not overlap."""

    @classmethod
    def from_conv(cls, conv: nn.Conv2d) -> PatchConv:
        """Make one that shares the weight of an ordinary convolution without bias."""
        channels, colors, *size = conv.weight.shape
        patch = (size[0], size[1])
        own = cls(colors, channels, patch, stride=patch, bias=False, device='meta')
        own.weight = conv.weight
        return own.train(conv.training)

    def forward(self, images: Tensor) -> Tensor:
        """Embed patches of ``[B, 3, H, W]``, whole ones only, ``[B, C, h, w]``."""
        if takes_fast(images, on='cpu'):
            return _multiply_patches(images, self.weight)
        return super().forward(images)


def _multiply_patches(images: Tensor, weight: Tensor) -> Tensor:
    """Take a patch as a row of a matrix.

    Convolutions with such kernels are slow on a CPU, a hundred times so in bfloat16.
    """
    tall, wide = weight.shape[-2:]
    rows, columns = images.shape[-2] // tall, images.shape[-1] // wide
    images = images[..., : rows * tall, : columns * wide]
    images = images.unflatten(3, (columns, wide))  # [B, 3, H, w, p]
    images = images.unflatten(2, (rows, tall))  # [B, 3, h, p, w, p]
    patches = images.permute(0, 2, 4, 1, 3, 5).flatten(3)  # [B, h, w, 3 * p * p]
    tokens = F.linear(patches, weight.flatten(1))  # [B, h, w, C]
    return tokens.permute(0, 3, 1, 2)
