"""Pictures of where a model looked to classify its masks."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch.nn.functional as F
from mmengine.structures import BaseDataElement
from torch import Tensor

from ..fileio import did_you_mean
from ..vocabulary import Vocabulary, name_key
from .visualization import draw_heatmap, side_by_side

PANEL_SIDE = 640  # Larger photos are shrunk: heatmaps have a value per 14 or 16 pixels.
PANELS_PER_ROW = 4


def find_labels(vocabulary: Vocabulary, names: str | Sequence[str]) -> list[int]:
    """Look up classes by any of their names, as the tokenizer sees them.

    Args:
        vocabulary: The classes.
        names: A list, or one string with commas between names; commas inside a name
            (``'road, route'``) are understood.

    Returns:
        Labels in the order of the names, each once.

    Raises:
        ValueError: If no class has such a name.

    Example:
        >>> find_labels(Vocabulary.from_string('dog; puppy, cat'), 'cat, puppy')
        [1, 0]
    """
    labels = dict(zip(vocabulary.keys, vocabulary.class_ids, strict=True))
    # A name that is first somewhere may be a synonym elsewhere.
    labels.update((name_key(name), i) for i, name in enumerate(vocabulary.names))
    parts = names.split(',') if isinstance(names, str) else list(names)
    most = len(parts) if isinstance(names, str) else 1  # parts that may be one name
    found: list[int] = []
    while parts:
        joined = [','.join(parts[:n]).strip() for n in range(1, most + 1)]
        keys = list(map(name_key, joined))
        used = max((n for n, x in enumerate(keys, 1) if x in labels), default=0)
        if not used:
            raise ValueError(_explain(joined[0], vocabulary))
        found.append(labels[keys[used - 1]])
        parts = parts[used:]
    return list(dict.fromkeys(found))


def draw_heatmaps(
    image: np.ndarray,
    sample: BaseDataElement,
    labels: Sequence[int],
    names: Sequence[str],
) -> np.ndarray:
    """Draw the heatmaps of some classes next to the image.

    Each class is shown by the best of its masks, outlined in white, with its class
    probability.

    Args:
        image: RGB, uint8, ``[H, W, 3]``.
        sample: With ``pred_heatmaps``, as :class:`MaskFusion` fills it.
        labels: The classes.
        names: Class names.

    Returns:
        RGB, uint8; photos with a longer side than 640 are shrunk to that.

    Raises:
        ValueError: If the sample has no heatmaps.
    """
    if 'pred_heatmaps' not in sample:
        raise ValueError(
            'The model gave no heatmaps. Only models that classify masks by heatmaps '
            'have them, such as DeOP; leave show_heatmaps out for this one.'
        )
    found = sample.pred_heatmaps
    image = _shrink(image)
    panels, titles = [image], ['image']
    for label in labels:
        query = int(found.queries[label])
        heat = _resize(found.heatmaps[query], found, image.shape[:2])
        mask = _resize(found.mask_logits[query], found, image.shape[:2]) > 0
        panels.append(draw_heatmap(image, heat, mask))
        titles.append(f'{names[label]} {float(found.scores[label]):.2f}')
    rows = [
        side_by_side(panels[i : i + PANELS_PER_ROW], titles[i : i + PANELS_PER_ROW])
        for i in range(0, len(panels), PANELS_PER_ROW)
    ]
    width = max(row.shape[1] for row in rows)
    rows = [
        np.pad(row, [(0, 0), (0, width - row.shape[1]), (0, 0)], constant_values=255)
        for row in rows
    ]
    return np.concatenate(rows)


def _explain(name: str, vocabulary: Vocabulary) -> str:
    hint = did_you_mean(name, vocabulary.all_names)
    shown = ', '.join(vocabulary.names[:20]) + (', ...' if len(vocabulary) > 20 else '')
    return f'show_heatmaps: no class is called {name!r}.{hint} Classes: {shown}.'


def _shrink(image: np.ndarray) -> np.ndarray:
    longer = max(image.shape[:2])
    if longer <= PANEL_SIDE:
        return image
    height, width = (max(1, x * PANEL_SIDE // longer) for x in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _resize(values: Tensor, found: BaseDataElement, size: Sequence[int]) -> np.ndarray:
    """Resize a map of the padded input to the image."""
    maps = values.float()[None, None]
    maps = F.interpolate(maps, found.padded_size, mode='bilinear')
    height, width = found.img_shape
    maps = F.interpolate(maps[..., :height, :width], tuple(size), mode='bilinear')
    return maps[0, 0].cpu().numpy()
