"""Masks at the size of the output, some rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from .dispatch import takes_fast
from .resize_masks import resize_masks
from .to_device_async import to_device_async

Size = tuple[int, int]


def mask_strips(
    mask_logits: Tensor,
    padded_size: Size,
    *,
    img_shape: Size,
    ori_shape: Size,
    max_values: int,
    one_step: bool = False,
    probabilities: bool = False,
) -> Iterator[tuple[slice, Tensor]]:
    """Resize masks to the padded input, crop, resize to the output.

    Args:
        mask_logits: ``[N, h, w]``, of any floating type.
        padded_size: Height and width of the network's input, padding included.
        img_shape: Height and width of the image inside the padded input.
        ori_shape: Height and width H and W of the output.
        max_values: The largest number of values of a strip of all masks, though it has
            at least one row. The formula makes one strip of everything.
        one_step: Resize the part of the map that shows the image straight to the
            output, in one interpolation instead of two.
        probabilities: Take the sigmoid between the two resizes (DeOP).

    Yields:
        Rows of the output, and the masks there, float32, ``[N, rows, W]``.
    """
    sizes = (padded_size, img_shape, ori_shape)
    if takes_fast(mask_logits):
        map_size = (mask_logits.shape[-2], mask_logits.shape[-1])
        device = mask_logits.device
        resize: StripProbabilities | StripResize
        if probabilities and not one_step:
            resize = StripProbabilities(map_size, *sizes, device=device)
        else:
            resize = StripResize(map_size, *sizes, device=device, one_step=one_step)
        for rows in resize.strips(len(mask_logits), max_values):
            yield rows, resize(mask_logits, rows)
        return
    masks = mask_logits.float()
    if one_step:
        widths, heights = zip(*(size[::-1] for size in sizes), strict=True)
        masks = _resize_once(masks, *widths)
        masks = _resize_once(masks.transpose(1, 2), *heights).transpose(1, 2)
    else:
        masks = resize_masks(masks[None], padded_size)
        masks = masks[..., : img_shape[0], : img_shape[1]]
        masks = masks.sigmoid() if probabilities else masks
        masks = resize_masks(masks, ori_shape)[0]
    yield slice(0, ori_shape[0]), masks


class StripResize:
    """The two resizes, strip by strip.

    Both are bilinear and linear in the rows, so an output row is a fixed mix
    of at most four map rows. A strip reads only the rows that it needs, and its
    values do not depend on where strips are cut.

    Args:
        map_size: Height and width of the mask logits.
        padded_size: Height and width of the network's input, padding included.
        img_shape: Height and width of the image inside the padded input.
        ori_shape: Height and width of the output.
        device: Where the mask logits are.
        one_step: See :func:`mask_strips`.
    """

    def __init__(
        self,
        map_size: Size,
        padded_size: Size,
        img_shape: Size,
        ori_shape: Size,
        *,
        device: torch.device | str = 'cpu',
        one_step: bool = False,
    ) -> None:
        self.one_step = one_step
        self.padded_width = padded_size[1]
        self.img_width = img_shape[1]
        self.size = ori_shape
        # Kept on the host too: the rows to read are found without waiting.
        self.host_index, weight = row_weights(
            map_size[0], padded_size[0], img_shape[0], ori_shape[0], one_step
        )
        self.index = to_device_async(self.host_index, device)
        self.weight = to_device_async(weight, device)

    def strips(self, num_masks: int, max_values: int) -> Iterator[slice]:
        """Cut the output rows so that a strip of all masks has few enough values."""
        height, width = self.size
        step = max(1, max_values // (max(num_masks, 1) * width))
        for start in range(0, height, step):
            yield slice(start, min(start + step, height))

    def __call__(self, mask_logits: Tensor, rows: slice) -> Tensor:
        """Resize to some output rows.

        Args:
            mask_logits: ``[N, h, w]``, of any floating type.
            rows: Output rows, from ``strips``.

        Returns:
            ``[N, len(rows), W]``, float32.
        """
        return self.mix(mask_logits[:, self.reads(rows)].float(), rows)

    def reads(self, rows: slice) -> slice:
        """Return the map rows that some output rows are mixed from."""
        index = self.host_index[rows]
        return slice(int(index.min()), int(index.max()) + 1)

    def mix(self, band: Tensor, rows: slice) -> Tensor:
        """Resize to some output rows, given only the map rows that they need.

        Args:
            band: The rows ``reads(rows)`` of the map, float32, ``[N, b, w]``.
            rows: Output rows.

        Returns:
            ``[N, len(rows), W]``, float32.
        """
        band = self._resize_columns(band)  # [N, b, W]
        index = self.index[rows] - self.reads(rows).start  # [r, length]
        shares = band.new_zeros(len(index), band.shape[1])  # [r, b]
        # Added: rows past the border come again, with weight zero.
        shares.scatter_add_(1, index, self.weight[rows])
        # Mostly zeros, and yet several times as fast as picking rows. What is not
        # finite spreads over its columns of a strip.
        return shares @ band

    def _resize_columns(self, band: Tensor) -> Tensor:
        resize = _resize_once if self.one_step else _resize_twice
        return resize(band, self.padded_width, self.img_width, self.size[1])


class StripProbabilities:
    """The two resizes with a sigmoid between, strip by strip.

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
        map_size: Size,
        padded_size: Size,
        img_shape: Size,
        ori_shape: Size,
        *,
        device: torch.device | str = 'cpu',
    ) -> None:
        self.img_shape, self.size = img_shape, ori_shape
        self.to_image = StripResize(
            map_size, padded_size, img_shape, img_shape, device=device
        )
        self.to_output = StripResize(
            img_shape, img_shape, img_shape, ori_shape, device=device
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


def _resize_twice(x: Tensor, padded: int, image: int, output: int) -> Tensor:
    """Resize the last dimension to ``padded``, cut to ``image``, go on to ``output``.

    All are ``[N, b, length]``.
    """
    return _interpolate_columns(_interpolate_columns(x, padded)[..., :image], output)


def _resize_once(x: Tensor, padded: int, image: int, output: int) -> Tensor:
    """Resize the first ``image / padded`` of the last dimension to ``output``."""
    if image == padded:
        return _interpolate_columns(x, output)
    # The image may end between two columns of the map: the whole map is resized by
    # the factor that makes the image as wide as the output, then cut.
    factor = padded / x.shape[-1] * output / image
    if factor > 1 and int(x.shape[-1] * factor) == x.shape[-1]:
        # PyTorch would only copy: repeat the border until the length changes.
        more = math.ceil(1 / (factor - 1)) + 1
        x = torch.cat([x, x[..., -1:].expand(*x.shape[:-1], more)], -1)
    whole = F.interpolate(
        x, scale_factor=factor, mode='linear', recompute_scale_factor=False
    )
    return whole[..., :output]


def _interpolate_columns(band: Tensor, width: int) -> Tensor:
    if width == band.shape[-1]:
        return band
    return F.interpolate(band, width, mode='linear')  # 3 times as fast as bilinear


@lru_cache(maxsize=64)
def row_weights(
    map_size: int,
    padded_size: int,
    img_size: int,
    ori_size: int,
    one_step: bool = False,
) -> tuple[Tensor, Tensor]:
    """Find the map rows that an output row mixes, and their weights.

    Found by sending every unit vector through the resizes.

    Args:
        map_size: Rows of the map.
        padded_size: Rows after the first resize.
        img_size: Rows kept of these.
        ori_size: Rows after the second resize.
        one_step: See :class:`StripResize`.

    Returns:
        Row indices, int64, and float32 weights, ``[ori_size, length]`` each.
    """
    mix = torch.eye(map_size).unsqueeze(1)  # [h, 1, h]
    resize = _resize_once if one_step else _resize_twice
    mix = resize(mix, padded_size, img_size, ori_size)[:, 0].T  # [H, h]
    used = (mix > 0).byte()
    first = used.argmax(1)
    last = map_size - 1 - used.flip(1).argmax(1)
    length = int((last - first).max()) + 1
    index = (first[:, None] + torch.arange(length)).clamp(max=map_size - 1)
    beyond = first[:, None] + torch.arange(length) > last[:, None]
    return index, mix.gather(1, index).masked_fill(beyond, 0)
