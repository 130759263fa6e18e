"""Leave out names that an image does not show, before the network reads them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmovseg.registry import MODELS

from .ops import without_autocast
from .structures import TextEmbeddings


@MODELS.register_module()
class PresenceFilter:
    """Keep the names that a frozen CLIP sees in the whole image or in parts of it.

    CLIP compares the image, its quarters, sixteenths and so on with all names. Every
    class is rated by the best probability that it has in any of them, and the best
    ones stay. Nothing is trained. The neck, the decoder and the fusion read only what
    stays, so their time does not grow with the vocabulary. A class that is left out
    cannot be found in this image.

    Args:
        num_names: So many classes stay, at most.
        grids: The image is cut into 1 x 1, 2 x 2, ... parts, of the map that CLIP
            pools. A part is at least a position of the map.

    Raises:
        ValueError: If ``num_names`` is no whole number of at least 1, or ``grids`` is
            empty or has another number.

    Example:
        >>> import torch
        >>> text = TextEmbeddings(torch.eye(4), torch.arange(4))  # 3 classes and void
        >>> regions = torch.tensor([[0.9, 0, 0.1, 0], [0, 0, 1, 0]])
        >>> PresenceFilter(num_names=2)(regions, text, scale=10.0).tolist()
        [True, False, True]

    Source: FC-CLIP and FreeCP drop absent names to gain accuracy; the rating by parts
    of the image is ours.
    """

    def __init__(
        self, num_names: int = 64, grids: Sequence[int] = (1, 2, 4, 8)
    ) -> None:
        if not _is_count(num_names):
            raise ValueError(
                'presence_filter.num_names must be at least 1, a whole number, got '
                f'{num_names!r}.'
            )
        if (
            not isinstance(grids, Sequence)
            or not grids
            or not all(map(_is_count, grids))
        ):
            raise ValueError(
                'presence_filter.grids are whole numbers of at least 1, such as '
                f'(1, 2, 4), got {grids!r}.'
            )
        self.num_names = num_names
        self.grids = tuple(grids)

    def parts(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Return the parts of a map as masks, 1 inside and -1 outside.

        Args:
            size: Height h and width w of the map.
            device: Where they are needed.

        Returns:
            float32, ``[R, h, w]``, the whole map first.

        Example:
            >>> cut = PresenceFilter(grids=(1, 2))
            >>> cut.parts((2, 2), torch.device('cpu')).flatten(1)[1].tolist()
            [1.0, -1.0, -1.0, -1.0]
        """
        masks = {}
        for grid in self.grids:
            rows, columns = (_cut(length, grid) for length in size)
            for top, bottom in rows:
                for left, right in columns:
                    mask = torch.full(size, -1.0)
                    mask[top:bottom, left:right] = 1
                    masks[top, bottom, left, right] = mask
        return torch.stack(list(masks.values())).to(device)

    @torch.no_grad()
    def __call__(
        self, region_embeds: Tensor, text: TextEmbeddings, scale: Tensor | float
    ) -> Tensor:
        """Choose the classes of one image.

        Args:
            region_embeds: CLIP's embeddings of its parts, ``[R, D]``.
            text: The vocabulary, of K classes.
            scale: Factor of CLIP's cosine.

        Returns:
            True where a class stays, bool, ``[K]``.
        """
        with without_autocast(region_embeds.device):
            # A part without a position has no embedding.
            logits = text.logits(region_embeds.float(), scale)[..., :-1].nan_to_num()
            rating = logits.softmax(-1).amax(0)
            # Probabilities of one or of zero are many: logits tell them apart.
            order = torch.argsort(logits.amax(0), descending=True, stable=True)
            order = order[rating[order].argsort(descending=True, stable=True)]
        kept = torch.zeros_like(rating, dtype=torch.bool)
        kept[order[: self.num_names]] = True
        return kept


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _cut(length: int, count: int) -> list[tuple[int, int]]:
    """Cut a side into parts of about one length, each of at least one position."""
    count = min(count, length)
    return [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


__all__ = ['PresenceFilter']
