"""Vocabulary-aware selection that does not fade as the list of names grows."""

from __future__ import annotations

from types import EllipsisType
from typing import Any

from torch import Tensor

from mmovseg.registry import MODELS

from ..structures import TextEmbeddings
from .vas_neck import VASNeck


@MODELS.register_module()
class LengthNormalizedVASNeck(VASNeck):
    """A :class:`VASNeck` for lists of names much longer than those of training.

    Selection multiplies each position by the largest of N probabilities that add up to
    one. N is the number of names, with synonyms and void. So the longer the list, the
    smaller are the features, and the masks made of them, whatever the image shows. Here
    the probability is multiplied by ``N / num_names``. The neck takes the weights of
    the paper's, and is the same for a list of ``num_names``.

    Args:
        in_channels: See :class:`VASNeck`.
        text_channels: See :class:`VASNeck`.
        num_names: N of the list that the model was trained with.
        hidden_channels: See :class:`VASNeck`.
        out_channels: See :class:`VASNeck`.
        foreign: See :class:`VASNeck`.

    Raises:
        ValueError: If ``num_names`` is no whole number of at least 1.

    Source: ours; deviates from EOV-Seg's equation 3 for other lists.
    """

    def __init__(
        self,
        in_channels: tuple[int, ...],
        text_channels: int | EllipsisType | None = ...,
        *,
        num_names: int,
        hidden_channels: int = 128,
        out_channels: int = 256,
        **foreign: Any,
    ) -> None:
        super().__init__(
            in_channels,
            text_channels,
            hidden_channels=hidden_channels,
            out_channels=out_channels,
            **foreign,
        )
        if not isinstance(num_names, int) or num_names < 1:
            raise ValueError(
                f'neck.num_names must be at least 1, a whole number, got {num_names!r}.'
            )
        self.num_names = num_names

    def select(self, mask_features: Tensor, text: TextEmbeddings | None) -> Tensor:
        """Weigh positions by the vocabulary, as if it had ``num_names`` rows."""
        if self.selection is None or text is None:
            return super().select(mask_features, text)
        offset = self.selection.offset.to(mask_features.dtype)
        best = self.selection.attention(mask_features, text.weight) - offset
        longer = text.weight.shape[0] / self.num_names
        return mask_features * (best * longer + offset)
