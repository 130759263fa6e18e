"""Mask probabilities at output size, a strip of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .strip_resize import StripResize


class StripProbabilities:
    """Resize masks to the padded input, crop, take the sigmoid, resize to the output.

    Like :class:`StripResize`, but the second resize works on probabilities. Sums of
    masks times class scores are linear, so they are what resizing the scores gives.

    Args:
        map_size: Height and width of the mask logits.
        padded_size: Height and width of the network's input, padding included.
        img_shape: Height and width of the image inside the padded input.
        ori_shape: Height and width of the output.
        device: Where the mask logits are.

    Source: DeOP's code.
    """

    def __init__(
        self,
        map_size: tuple[int, int],
        padded_size: tuple[int, int],
        *,
        img_shape: tuple[int, int],
        ori_shape: tuple[int, int],
        device: torch.device | str = 'cpu',
    ) -> None:
        self.img_shape, self.size = img_shape, ori_shape
        self.to_image = StripResize(
            map_size,
            padded_size,
            img_shape=img_shape,
            ori_shape=img_shape,
            device=device,
        )
        self.to_output = StripResize(
            img_shape,
            img_shape,
            img_shape=img_shape,
            ori_shape=ori_shape,
            device=device,
        )

    def strips(self, num_masks: int, max_values: int) -> Iterator[slice]:
        """Cut the output rows so that a strip of all masks has few enough values.

        That holds for the image's rows behind a strip too, down to one output row.
        """
        height, width = self.size
        img_height, img_width = self.img_shape
        lines = max_values // (max(num_masks, 1) * max(width, img_width))
        # r output rows read at most (r - 1) * ratio + 3 rows of the image.
        step = max(1, min(lines, int((lines - 3) * height / img_height) + 1))
        for start in range(0, height, step):
            yield slice(start, min(start + step, height))

    def __call__(self, mask_logits: Tensor, rows: slice) -> Tensor:
        """Return the probabilities of some output rows.

        Args:
            mask_logits: ``[N, h, w]``, of any floating type.
            rows: Output rows, from ``strips``.

        Returns:
            ``[N, len(rows), W]``, float32, in [0, 1].
        """
        band = self.to_image(mask_logits, self.to_output.reads(rows)).sigmoid_()
        return self.to_output.mix(band, rows)
