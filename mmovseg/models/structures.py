"""The tuples that travel between the parts of a model."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .ops import at_least_float32, without_autocast

# Logit of a class without a row: a probability of 0, and no NaN when it is weighted.
LEFT_OUT = -1e4
# Factor of cosines in DeOP and SimBaseline (released code), not CLIP's own.
LOGIT_SCALE = 100.0


class MaskPrediction(NamedTuple):
    """Masks and their class logits, the only currency of heads, loss and fusion.

    Attributes:
        class_logits: ``[B, N, K + 1]``; index K is void (no object). At inference
            they may be log-probabilities, which a softmax leaves unchanged.
        mask_logits: ``[B, N, h, w]``, positive inside the mask.
        heatmaps: Where each query looked to classify its mask, ``[B, N, h', w']``,
            not negative; None for models without such maps.
        present: Classes that a presence filter has kept, bool, ``[B, K]``; the logits
            of the others are minus infinity. None without a filter.
    """

    class_logits: Tensor
    mask_logits: Tensor
    heatmaps: Tensor | None = None
    present: Tensor | None = None


class MaskProposals(NamedTuple):
    """Class-agnostic masks of one stage of a proposal network.

    Attributes:
        mask_logits: ``[B, N, h, w]``, positive inside the mask.
        region_embeds: Embeddings of the queries in CLIP's space, ``[B, N, D]``; None
            for a network without class branch.
        class_probs: Probabilities of the classes that the network itself knows, ``[B,
            N, C]``. What they lack to 1 is no object. One without classes may give
            that of an object, with C = 1. None where it says nothing.
    """

    mask_logits: Tensor
    region_embeds: Tensor | None = None
    class_probs: Tensor | None = None


class MaskTarget(NamedTuple):
    """The ground truth of one image, padded to the batch.

    Attributes:
        labels: Class indices in ``[0, K)``, int64, ``[n]``.
        masks: One binary mask per segment, bool, ``[n, H, W]``.
    """

    labels: Tensor
    masks: Tensor


class TextEmbeddings(NamedTuple):
    """A vocabulary as a matrix: one unit row per synonym and a last row for void.

    It travels with a call, which so keeps the vocabulary that it started with.

    Attributes:
        weight: L2-normalized rows, ``[V + 1, D]``; the last one is void.
        class_ids: Class of each row, int64, ``[V + 1]``; K for the void row.
        num_classes: K. If None it is read from ``class_ids``, which waits for the
            device.
        seen: True where the class was in the training vocabulary, bool, ``[K]``. None
            where that is not known; see :meth:`OVSegmentor.find_seen`.
        known: Unit rows of the C classes that a proposal network knows, ``[C, D]``;
            None for models without such.
        clip: Rows that CLIP's own scores are of, where they differ from ``weight``,
            ``[V + 1, D]``; see :meth:`for_clip`.

    Example:
        >>> import torch
        >>> classes = torch.tensor([0, 0, 1])  # two synonyms, and void
        >>> text = TextEmbeddings(torch.eye(3), classes)
        >>> text.logits(torch.tensor([0.0, 2, 0]), scale=10.0).tolist()
        [10.0, 0.0]
    """

    weight: Tensor
    class_ids: Tensor
    num_classes: int | None = None
    seen: Tensor | None = None
    known: Tensor | None = None
    clip: Tensor | None = None

    def for_clip(self) -> TextEmbeddings:
        """Return the embeddings to compare with what CLIP itself sees."""
        if self.clip is None:
            return self
        return self._replace(weight=self.clip, clip=None)

    def count_classes(self) -> int:
        """Return K."""
        if self.num_classes is None:
            return int(self.class_ids[-1])
        return self.num_classes

    def keep(self, present: Tensor) -> TextEmbeddings:
        """Drop the rows of other classes; K and the numbers of classes stay.

        Args:
            present: Classes to keep, bool, ``[K]``.

        Example:
            >>> import torch
            >>> text = TextEmbeddings(torch.eye(3), torch.tensor([0, 1, 2]))
            >>> text.keep(torch.tensor([False, True])).class_ids.tolist()
            [1, 2]
        """
        num_classes = self.count_classes()
        rows = torch.cat([present, present.new_ones(1)])[self.class_ids]
        return self._replace(
            weight=self.weight[rows],
            class_ids=self.class_ids[rows],
            num_classes=num_classes,
            clip=None if self.clip is None else self.clip[rows],
        )

    def logits(self, region_embeds: Tensor, scale: Tensor | float) -> Tensor:
        """Score regions by cosine similarity; a class takes its best synonym.

        Args:
            region_embeds: Region embeddings of any length, ``[..., D]``.
            scale: Factor of the cosine, already exponentiated.

        Returns:
            Class logits, ``[..., K + 1]``, void last; -10,000 for a class without a
            row, see :meth:`keep`.

        Source: EOV-Seg, section 3; the maximum over synonyms is in its code only.
        """
        num_classes = self.count_classes()
        # Half precision would divide the zeros of an empty mask by zero, and round
        # logits of up to 100 to multiples of a half.
        with without_autocast(region_embeds.device):
            region_embeds = at_least_float32(region_embeds)
            weight = self.weight.to(region_embeds.dtype)
            cosines = F.normalize(region_embeds, dim=-1) @ weight.T  # [..., V + 1]
            scores = scale * cosines
        best = scores.new_full((*scores.shape[:-1], num_classes + 1), LEFT_OUT)
        index = self.class_ids.expand_as(scores)
        return best.scatter_reduce(-1, index, scores, 'amax', include_self=False)
