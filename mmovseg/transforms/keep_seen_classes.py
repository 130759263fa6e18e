"""Hide the unseen classes of a fully labeled image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..registry import TRANSFORMS
from ..vocabulary import Vocabulary, name_key
from .base_transform import BaseTransform


@TRANSFORMS.register_module()
class KeepSeenClasses(BaseTransform):
    """Renumber the seen classes 0, 1, ... in their order and ignore all other pixels.

    Makes the training labels of zero-shot segmentation out of the full ones, so that
    no prepared copy of them is needed. Required key: ``gt_seg_map``, ``[H, W]``.

    Args:
        classes: Vocabulary of the map: packaged name, path or list.
        seen: Vocabulary of the seen classes, whose order gives the new labels. First
            names are compared.
        ignore_index: What the other pixels get.
        skip_empty: Whether to leave out images without any seen pixel; the dataset
            then draws another one. Goes before every crop. If False, they stay and
            have nothing to learn from.

    Raises:
        ValueError: If a seen class is not among ``classes``, or ``ignore_index`` would
            be a seen class.
    """

    def __init__(
        self,
        classes: str | Sequence[str],
        seen: str | Sequence[str],
        *,
        ignore_index: int = 255,
        skip_empty: bool = False,
    ) -> None:
        names, kept = Vocabulary.load(classes).names, Vocabulary.load(seen).names
        places = {name_key(name): label for label, name in enumerate(names)}
        unknown = [name for name in kept if name_key(name) not in places]
        if unknown:
            raise ValueError(
                f'{len(unknown)} of {len(kept)} seen classes are not among the '
                f'{len(names)} of the map: {", ".join(map(repr, unknown[:5]))}.'
            )
        if ignore_index < len(kept):
            raise ValueError(
                f'{len(kept)} seen classes need an ignore_index of at least that, got '
                f'{ignore_index}.'
            )
        self.ignore_index = ignore_index
        self.skip_empty = skip_empty
        # Last entry: all values that are no class.
        self._table = np.full(
            len(names) + 1,
            ignore_index,
            np.uint8 if ignore_index <= 255 else np.int32,
        )
        self._table[[places[name_key(name)] for name in kept]] = np.arange(len(kept))

    def transform(self, results: dict) -> dict | None:
        """Renumber ``gt_seg_map``; None where the image is to be skipped."""
        labels = results['gt_seg_map'].astype(np.int64)
        num_classes = len(self._table) - 1
        labels[(labels < 0) | (labels > num_classes)] = num_classes
        results['gt_seg_map'] = self._table[labels]
        if self.skip_empty and (results['gt_seg_map'] == self.ignore_index).all():
            return None
        return results
