"""The neck of EOV-Seg: lite aggregator and vocabulary-aware selection."""

from __future__ import annotations

from itertools import pairwise
from types import EllipsisType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..layers import check_maps
from ..ops import (
    at_least_float32,
    best_probability,
    conv_coordinates,
    conv_norm,
    deform_conv_norm,
    is_pyramid,
    to_channels_last,
)
from ..structures import TextEmbeddings
from .pyramid_neck import NO_TEXT, PyramidNeck


@MODELS.register_module()
class VASNeck(PyramidNeck):
    """Aggregate four maps to stride 4, then select by vocabulary.

    Args:
        in_channels: Channels of the maps, finest first.
        text_channels: Width D of the text embeddings, which our own models tell, and
            ``text`` too; None aggregates only, also in a segmentor (VAS off).
        hidden_channels: Width of the sum inside the aggregator.
        out_channels: Channels C of the result.
        foreign: ``text``, ``vocabulary`` and ``out_indices`` for models of other
            packages, and ``init_cfg``; see :class:`PyramidNeck`. Level 0 is the
            result, the others are projections of the top-down path.

    Attributes:
        out_channels: C.

    Source: EOV-Seg, lite aggregator and vocabulary-aware selection.
    """

    def __init__(
        self,
        in_channels: tuple[int, ...],
        text_channels: int | EllipsisType | None = ...,
        *,
        hidden_channels: int = 128,
        out_channels: int = 256,
        **foreign: Any,
    ) -> None:
        levels = [channels // 2 for channels in in_channels]
        super().__init__(text_channels, levels, out_channels, **foreign)
        self.in_channels = tuple(in_channels)
        self.aggregator = LiteAggregator(
            self.in_channels, hidden_channels, out_channels
        )
        self.out_channels = out_channels
        self.selection = None
        if self.text_channels is not None:
            self.selection = VocabularyAwareSelection(out_channels, self.text_channels)

    def forward(
        self, features: tuple[Tensor, ...], text: TextEmbeddings | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """Fuse the maps of a backbone.

        Args:
            features: ``[B, C_i, H_i, W_i]``, finest first, each half as large as the
                one before.
            text: The vocabulary; needed unless ``text_channels`` is None or the neck
                embeds names itself.

        Returns:
            Mask features, ``[B, C, H_0, W_0]``. With ``out_indices`` a tuple of
            levels, ``[B, C, H_i, W_i]``, finest first.

        Raises:
            TypeError: If it is a single map.
            ValueError: If the vocabulary is missing, or the maps are others than the
                neck was built for.
        """
        if not is_pyramid(features, self.in_channels):
            check_maps(self, features, self.in_channels, halving=True)  # says why
        if text is None and self.vocabulary is not None:
            text = self.text(self.vocabulary)
        # Four maps become one of stride 4, and the vocabulary weighs its positions.
        maps = self.aggregator.top_down(features)
        mask_features = self.select(self.aggregator.aggregate(maps), text)
        if self.out_indices is None:
            return mask_features
        return self.make_levels(mask_features, maps)

    def select(self, mask_features: Tensor, text: TextEmbeddings | None) -> Tensor:
        """Weigh positions by the vocabulary, where the neck was built to do so."""
        if self.selection is None:
            return mask_features
        if text is None:
            raise ValueError(NO_TEXT)
        return self.selection(mask_features, text.weight)


class LiteAggregator(nn.Module):
    """Deformable feature pyramid, summed at stride 4, with coordinates appended.

    Args:
        in_channels: Channels of the maps, finest (stride 4) first.
        hidden_channels: Width A of the sum.
        out_channels: Channels of the result.

    Source: EOV-Seg, equation 1; shared bias and coordinates from its code.
    """

    def __init__(
        self, in_channels: tuple[int, ...], hidden_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        widths = [channels // 2 for channels in in_channels]
        self.laterals = nn.ModuleList(
            nn.Conv2d(channels, width, 1)
            for channels, width in zip(in_channels, widths, strict=True)
        )
        self.upsamples = nn.ModuleList(
            DeformableUpsample(coarse, fine) for fine, coarse in pairwise(widths)
        )
        self.projections = nn.ModuleList(
            nn.Conv2d(width, hidden_channels, 1, bias=False) for width in widths
        )
        self.bias = nn.Parameter(torch.zeros(1, hidden_channels, 1, 1))
        self.fuse = nn.Conv2d(hidden_channels, hidden_channels, 3, padding=1)
        self.out = nn.Conv2d(hidden_channels + 2, out_channels, 1)
        for parameter in self.parameters():
            # The reference's last word on initialization: also for `bias` and for the
            # offsets, which therefore do not start at zero.
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Aggregate ``[B, C_i, H_i, W_i]``, finest first, to ``[B, C, H_0, W_0]``."""
        return self.aggregate(self.top_down(features))

    def top_down(self, features: tuple[Tensor, ...]) -> list[Tensor]:
        """Run the top-down path.

        Args:
            features: See :meth:`forward`.

        Returns:
            ``[B, C_i // 2, H_i, W_i]``, coarsest first.
        """
        features = tuple(to_channels_last(x) for x in features)
        # The coarsest map starts the path.
        maps = [self.laterals[-1](features[-1])]
        # Each finer map is its lateral connection plus the one before, twice as large.
        for level in reversed(range(len(features) - 1)):
            lateral = self.laterals[level](features[level])
            maps.append(lateral + self.upsamples[level](maps[-1]))
        return maps

    def aggregate(self, maps: list[Tensor]) -> Tensor:
        """Sum the maps of :meth:`top_down` at stride 4, to ``[B, C, H_0, W_0]``."""
        size = (maps[-1].shape[-2], maps[-1].shape[-1])
        # All maps get the same channels and the size of the finest one, and are added.
        total = self._project(-1, maps[0], size)
        for level, x in zip(reversed(range(len(maps) - 1)), maps[1:], strict=True):
            total = total + self._project(level, x, size)
        # A convolution mixes neighbors, the last one also sees x and y of a position.
        return conv_coordinates(self.fuse(total + self.bias), self.out)

    def _project(self, level: int, x: Tensor, size: tuple[int, int]) -> Tensor:
        x = self.projections[level](x)
        if tuple(x.shape[-2:]) == size:
            return x
        return F.interpolate(x, size=size, mode='bilinear', align_corners=False)


class DeformableUpsample(nn.Module):
    """Modulated deformable 3x3 convolution, then a transposed one of stride 2.

    Args:
        in_channels: Channels of the coarse map.
        out_channels: Channels of the result.

    Source: EOV-Seg, lite aggregator (Dai et al. 2017); layout from its code.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        # 18 offsets (dy, dx per kernel point) and 9 modulation logits.
        self.offset = nn.Conv2d(in_channels, 27, 3, padding=1)
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.upsample = nn.ConvTranspose2d(
            out_channels, out_channels, 4, stride=2, padding=1, bias=False
        )
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to ``[B, C', 2h, 2w]``."""
        # The map itself says where to sample it, and how much each sample counts.
        offset, mask = at_least_float32(self.offset(x)).split((18, 9), dim=1)
        x = deform_conv_norm(x, offset, mask.sigmoid(), self.weight, self.norm1)
        # Then it is doubled.
        return conv_norm(x.relu_(), self.upsample, self.norm2).relu_()


class VocabularyAwareSelection(nn.Module):
    """Scale each position by its best probability over the vocabulary (VAS).

    Args:
        channels: Channels of the image features.
        text_channels: Width D of the text rows.

    Source: EOV-Seg, equations 3 and 4, with one head as in its code; the visual
    projection is a depthwise separable convolution there.
    """

    def __init__(self, channels: int, text_channels: int) -> None:
        super().__init__()
        self.embed: nn.Identity | nn.Sequential = nn.Identity()
        if channels != text_channels:
            depthwise = nn.Conv2d(
                channels, channels, 3, padding=1, groups=channels, bias=False
            )
            pointwise = nn.Conv2d(channels, text_channels, 1, bias=False)
            for conv in (depthwise, pointwise):
                nn.init.kaiming_normal_(
                    conv.weight, mode='fan_out', nonlinearity='relu'
                )
            self.embed = nn.Sequential(
                depthwise,
                nn.BatchNorm2d(channels),
                nn.GELU(),
                pointwise,
                nn.BatchNorm2d(text_channels),
                nn.GELU(),
            )
        self.guide = nn.Linear(text_channels, text_channels)
        self.scale = nn.Parameter(torch.ones(()))
        self.offset = nn.Parameter(torch.zeros(()))

    def attention(self, features: Tensor, text: Tensor) -> Tensor:
        """Compute the weight of each position, after scale and offset.

        Args:
            features: ``[B, C, h, w]``.
            text: Unit text rows with void, ``[V + 1, D]``.

        Returns:
            ``[B, 1, h, w]``.
        """
        # Equation 3: the names are projected, the positions embedded in their space.
        guide = self.guide(text.to(features.dtype)) * text.shape[-1] ** -0.5
        # Softmax over the names; a position counts as much as its best name.
        best = best_probability(features, guide, self.embed)
        return (best * self.scale + self.offset).to(features.dtype)

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to the same shape, given text rows ``[V + 1, D]``."""
        # Equation 4: every position is scaled by its weight.
        return features * self.attention(features, text)
