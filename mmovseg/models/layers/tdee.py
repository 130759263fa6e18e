"""Two-way dynamic embedding experts."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class TDEE(nn.Module):
    """Weigh a mask embedding and a spatial embedding by a shared router.

    Args:
        channels: Width C of both embeddings.

    Source: EOV-Seg, equations 5 to 10.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mask_params = nn.Linear(channels, 2 * channels)
        self.spatial_params = nn.Linear(channels, 2 * channels)
        self.mask_router = nn.Linear(channels, channels)
        self.spatial_router = nn.Linear(channels, channels)
        self.mask_router_norm = nn.LayerNorm(channels)
        self.spatial_router_norm = nn.LayerNorm(channels)
        self.mask_norm = nn.LayerNorm(channels)
        self.spatial_norm = nn.LayerNorm(channels)
        self.out = nn.Linear(channels, channels)
        self.out_norm = nn.LayerNorm(channels)

    def forward(self, mask: Tensor, spatial: Tensor) -> Tensor:
        """Fuse two embeddings ``[B, N, C]`` into one of the same shape."""
        mask_route, mask_value = self.mask_params(mask).chunk(2, -1)
        spatial_route, spatial_value = self.spatial_params(spatial).chunk(2, -1)
        route = mask_route * spatial_route
        mask_gate = self.mask_router_norm(self.mask_router(route)).sigmoid()
        spatial_gate = self.spatial_router_norm(self.spatial_router(route)).sigmoid()
        fused = mask_gate * self.mask_norm(mask_value)
        fused = fused + spatial_gate * self.spatial_norm(spatial_value)
        return F.gelu(self.out_norm(self.out(fused)))
