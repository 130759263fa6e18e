"""What a model makes of examples: rows next to those of the names."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.io import ImageReadMode, decode_png

from mmovseg.vocabulary import Example

from .ops import resize_masks

# Lead in cosine that many examples shall give their class over other names.
MARGIN = 0.05
PRIOR = 1.0  # so many examples give half of it
# A way that adds less leads nowhere: the object looks like the rest.
LEAST_GAIN = 1e-3
LEAST_IOU = 0.5  # of a mask that stands for an example


class RegionEmbeds(NamedTuple):
    """What a model sees in the image of an example, in the space of the names.

    Each is a pair of tensors: the embedding of the object, ``[D]``, and those of what
    else the image shows, ``[R, D]``.

    Attributes:
        trained: By the trained classifier; None where there is none, or no mask of the
            model fits the object.
        clip: By CLIP itself; None where CLIP does not count by itself, or cannot see
            one of both.
        unseen: What CLIP cannot see, see :func:`unseen_part`.
    """

    trained: tuple[Tensor, Tensor] | None = None
    clip: tuple[Tensor, Tensor] | None = None
    unseen: str = ''


def unseen_part(mask: Tensor, size: Sequence[int]) -> str:
    """Return what has no position on a map: ``'object'``, ``'rest'``, or ``''``.

    Args:
        mask: Positive on the object, negative on the rest of the image, and 0 where the
            image is padded, ``[1, 1, H, W]``.
        size: Height and width of the map.
    """
    resized = resize_masks(mask, size)
    if not (resized > 0).any():
        return 'object'
    return '' if (resized < 0).any() else 'rest'


def warn_of_unseen(
    names: Sequence[str], seen: Sequence[Sequence[RegionEmbeds]]
) -> None:
    """Warn of the examples of every class that CLIP cannot use."""
    advice = {
        'object': 'is too small for this model. Crop the image around it',
        'rest': 'fills the image. Take an image that shows something else, too',
    }
    for name, group in zip(names, seen, strict=True):
        for number, example in enumerate(group, 1):
            if example.unseen:
                warnings.warn(
                    f'Example {number} of {name!r} counts little or not at all: its '
                    f'object {advice[example.unseen]}.',
                    stacklevel=2,
                )


def decode_example(example: Example) -> tuple[Tensor, Tensor]:
    """Decode an example.

    Returns:
        BGR, uint8, ``[3, H, W]``; bools, ``[H, W]``.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        image, mask = (
            decode_png(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode)
            for data, mode in zip(
                example, (ImageReadMode.RGB, ImageReadMode.GRAY), strict=True
            )
        )
    except RuntimeError as error:
        raise ValueError(f'An example is damaged: {error}') from error
    return image.flip(0), mask[0] > 0


def mix_rows(
    weight: Tensor,
    class_ids: Tensor,
    seen: Sequence[Sequence[tuple[Tensor, Tensor]]],
    margin: float = MARGIN,
) -> Tensor:
    """Move the rows of classes towards their examples, as far as these need it.

    Embeddings of images have a part in common that names do not have, so a row moves
    along the difference of the examples and of all else that their images show, without
    the part that all of it shares. It moves until the mean example is nearer to its
    class than to any other, void included, by ``margin n / (n + 1)``: many examples are
    trusted more than one. A class whose examples are named rightly by far stays as it
    is.

    Args:
        weight: Unit rows, void last, ``[V + 1, D]``.
        class_ids: Class of each row, ``[V + 1]``.
        seen: Of every class and example, the embedding of the object and those of the
            rest; see :class:`RegionEmbeds`.
        margin: Lead in cosine that many examples give.

    Returns:
        Rows ``[V + 1, D]``; those that have moved are no longer of unit length, so that
        other regions keep their scores.

    Source: ours; that a few examples are mixed with names, and trusted by their number,
    follows Retrieve and Segment (CVPR 2026).

    Example:
        >>> import torch
        >>> names = torch.tensor([[1.0, 0, 0], [0, 1, 0]])  # a class, and void
        >>> example = torch.tensor([0.0, 0.8, 0.6]), torch.tensor([[0.0, 1, 0]])
        >>> rows = mix_rows(names, torch.arange(2), [[example] * 99])
        >>> [round(x, 2) for x in (rows @ example[0]).tolist()]  # void was nearer
        [0.85, 0.8]
    """
    mixed = weight.clone()
    for label, group in enumerate(seen):
        if not group:
            continue
        objects, others = (
            [F.normalize(x.to(weight), dim=-1) for x in part]
            for part in zip(*group, strict=True)
        )
        mean = torch.stack(objects).mean(0)
        common = torch.cat(others).mean(0)
        rows = class_ids == label
        lead = (weight[rows] @ mean).max() - (weight[~rows] @ mean).max()
        missing = (margin * len(group) / (len(group) + PRIOR) - lead).clamp(min=0)
        way = mean - common
        shared = F.normalize(common, dim=0)
        way = way - (way @ shared) * shared
        gain = way @ mean  # what a step of this length adds to the cosine
        if gain > LEAST_GAIN:
            mixed[rows] += missing / gain * way
    return mixed


def move_rows(
    weight: Tensor,
    class_ids: Tensor,
    seen: Sequence[Sequence[RegionEmbeds]],
    margin: float = MARGIN,
) -> tuple[Tensor, Tensor]:
    """Move rows towards the examples of every class; see :func:`mix_rows`.

    Returns:
        Rows for the trained classifier and for CLIP, ``[V + 1, D]`` each.
    """
    trained = [[x.trained for x in group if x.trained] for group in seen]
    clip = [[x.clip for x in group if x.clip] for group in seen]
    return (
        mix_rows(weight, class_ids, trained, margin),
        mix_rows(weight, class_ids, clip, margin),
    )


def nearest_mask(mask_logits: Tensor, mask: Tensor) -> tuple[int, float]:
    """Return which mask fits an object best, and their IoU.

    Args:
        mask_logits: ``[N, h, w]``.
        mask: Positive inside the object, ``[h', w']``.
    """
    resized = F.interpolate(
        mask[None, None].float(), mask_logits.shape[-2:], mode='area'
    )
    truth, found = resized[0, 0] > 0, mask_logits > 0
    both = (found & truth).sum((-2, -1))
    ious = both / (found | truth).sum((-2, -1)).clamp(min=1)
    index = int(ious.argmax())
    return index, float(ious[index])


def best_query(mask_logits: Tensor, mask: Tensor) -> int | None:
    """Return the query whose mask fits an object; None if none does well.

    Args:
        mask_logits: ``[N, h, w]``.
        mask: Positive inside the object, ``[h', w']``.
    """
    index, iou = nearest_mask(mask_logits, mask)
    return index if iou >= LEAST_IOU else None
