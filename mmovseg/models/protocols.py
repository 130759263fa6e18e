"""What the parts of a model must do for each other.

A part is a module of a config. Whoever writes a new one needs no base class of ours,
but the method and the attributes of its protocol here. Letters of shapes: B images, N
masks, K classes, C and S channels, D width of CLIP's space, H x W the padded images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from .ops import MapToPool
from .structures import MaskPrediction, MaskProposals, TextEmbeddings


class Backbone(Protocol):
    """The frozen CLIP of EOV-Seg: images become a pyramid of maps.

    Attributes:
        out_channels: Channels of the maps, finest first.
        embed_dims: D.
    """

    out_channels: tuple[int, ...]
    embed_dims: int

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map ``[B, 3, H, W]`` to maps of strides 4, 8, 16 and 32, finest first."""

    def pool_masks(self, features: Tensor, mask_logits: Tensor) -> Tensor:
        """Embed masks ``[B, N, h, w]`` by the last map, ``[B, N, D]``."""


class SpatialBackbone(Protocol):
    """The spatial branch of EOV-Seg: images become one map.

    Attributes:
        embed_dims: Channels S of the map.
        stride: Of the map, in pixels.
    """

    embed_dims: int
    stride: int

    def __call__(self, images: Tensor) -> Tensor:
        """Map ``[B, 3, H, W]`` to ``[B, S, H / stride, W / stride]``."""


class Severance(Protocol):
    """Takes the place of the attention of a block; an entry of ``severance``.

    Only the call is required.

    Attributes:
        needs_masks: Whether it reads the masks; False if it does not say.
        needs_grid: Whether it is called with ``grid=``, height and width of the grid of
            patches; False if it does not say.
        feed_forward: Whether the block goes on with its feed-forward network; True if
            it does not say.
        is_identity: Whether the block runs as it is; False if it does not say.
        residual_scale: Factor of the block's input in the sum; 1 if it does not say.
    """

    needs_masks: bool
    needs_grid: bool
    feed_forward: bool
    is_identity: bool
    residual_scale: float

    def __call__(
        self, attention: nn.Module, tokens: Tensor, masks: Tensor | None
    ) -> Tensor:
        """Map the normed input of a block ``[B, 1 + L, C]`` to what is added to it.

        ``attention`` is the block's own, ``masks`` the probability of each token in
        each proposal, ``[B, N, 1 + L]``.
        """


class Neck(Protocol):
    """Of EOV-Seg: maps become mask features.

    Built with ``in_channels`` and ``text_channels`` besides its own arguments.
    """

    def __call__(
        self, features: tuple[Tensor, ...], text: TextEmbeddings | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """Map a pyramid to mask features, ``[B, C, H / 4, W / 4]``.

        A decoder of its own may get a tuple of these and of other maps.
        """


class Decoder(Protocol):
    """Of EOV-Seg: mask features become masks and class logits.

    Built with ``embed_channels``, ``spatial_channels`` (None without spatial branch)
    and, with one, ``spatial_stride``.
    """

    def __call__(
        self,
        mask_features: Tensor | tuple[Tensor, ...],
        spatial: Tensor | None,
        text: TextEmbeddings,
        *,
        all_stages: bool = True,
    ) -> list[MaskPrediction]:
        """Return a prediction per stage, best last; the last alone unless asked."""


class RegionHead(Protocol):
    """Of a decoder: what is inside a mask becomes a vector of CLIP's space.

    Built with ``channels``, ``spatial_channels`` and ``embed_channels``.

    Attributes:
        logit_scale: Learned log of the factor of the cosine.
    """

    logit_scale: Tensor

    def __call__(
        self,
        mask_features: Tensor,
        spatial: Tensor | MapToPool | None,
        mask_logits: Tensor,
        kernels: Tensor,
    ) -> Tensor:
        """Embed masks ``[B, N, h, w]`` with kernels ``[B, N, C]``, ``[B, N, D]``."""


class PatchHead(Protocol):
    """Of DeOP: the patches that stand for a proposal become one vector.

    Built with ``embed_channels``.
    """

    def __call__(self, features: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Pool ``[B, D, h, w]`` to region embeddings ``[B, N, D]`` and heatmaps.

        A heatmap says how much a patch counts, ``[B, N, h, w]``.
        """


class Proposals(Protocol):
    """Images become masks, whatever they show.

    A model tells it, if it takes them, ``mean`` and ``std`` of the preprocessor, and
    the training-free one ``class_names``, the classes that the network knows.

    Attributes:
        embed_channels: D, if the queries are embedded for classification, else None.
    """

    embed_channels: int | None

    def __call__(self, images: Tensor) -> Sequence[MaskProposals]:
        """Map ``[B, 3, H, W]`` to proposals per supervised stage, best last."""


class Ensemble(Protocol):
    """Two class scores of a mask become one."""

    def __call__(
        self, class_logits: Tensor, clip_logits: Tensor, seen: Tensor, valid: Tensor
    ) -> Tensor:
        """Mix ``[B, N, K + 1]`` and ``[B, N, K]`` to log-probabilities with void.

        ``seen`` ``[K]`` tells classes of the training vocabulary, ``valid`` ``[B, N]``
        the masks that CLIP could look at.
        """
