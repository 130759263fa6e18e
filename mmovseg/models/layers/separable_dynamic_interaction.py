"""Separable dynamic interaction between mask and spatial embeddings."""

from __future__ import annotations

from torch import Tensor, nn

from ..ops import convolve_channels, layer_norm_float32, without_autocast


class SeparableDynamicInteraction(nn.Module):
    """Refine mask embeddings by spatial ones, convolved as the masks ask for (SDI).

    A mask embedding makes the taps of a convolution along the channels of its own
    spatial embedding, and the weights that mix those of all queries.

    Args:
        channels: Width C of both embeddings.
        num_queries: Number N of masks; the layer works for no other.
        kernel_size: Number of taps, odd.

    Source: EOV-Seg, appendix D and figure 8. Deviates: a figure is all there is, so
    that one linear layer makes both kernels, that nothing stands between the
    convolutions, and the norm and the sum at the end are a reading.
    """

    def __init__(self, channels: int, num_queries: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.sizes = [kernel_size, num_queries]
        self.kernels = nn.Linear(channels, sum(self.sizes))
        self.norm = nn.LayerNorm(channels)

    def forward(self, mask: Tensor, spatial: Tensor) -> Tensor:
        """Fuse two embeddings ``[B, N, C]`` into one of the same shape.

        Raises:
            ValueError: If N is not ``num_queries``.
        """
        if mask.shape[1] != self.sizes[1]:
            raise ValueError(
                f'The head was built for {self.sizes[1]} queries, the decoder has '
                f'{mask.shape[1]}: make decoder.head.num_queries equal to '
                'decoder.num_queries.'
            )
        kernel_weights, mixing = self.kernels(mask).split(self.sizes, -1)
        moved = convolve_channels(spatial, kernel_weights)
        with without_autocast(spatial.device):
            mixed = mixing.to(moved.dtype) @ moved
        return mask + layer_norm_float32(mixed, self.norm).to(mask.dtype)
