"""Batches of images with one aspect ratio, for evaluation."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.dataset import BaseDataset
from torch.utils.data import Sampler

from mmovseg.formats.image_file import read_size
from mmovseg.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class AspectBatchSampler(Sampler):
    """Sort what a sampler yields by aspect ratio, and cut it into batches.

    A pipeline resizes images of one ratio to one size, which models compute together;
    neighbors in a batch differ little, so there is little padding. Every index is
    used once. With several processes each sorts its own share. The last index of a
    share stays the last: MMEngine repeats images there to make shares equally long,
    and drops repeated results by their place.

    Args:
        sampler: Yields indices, always the same ones (without ``shuffle``); its
            ``dataset`` knows heights and widths, or where the image files are.
        batch_size: Images of a batch; the last one may have fewer.

    Raises:
        ValueError: If ``batch_size`` is below 1.
    """

    def __init__(self, sampler: Sampler, batch_size: int) -> None:
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {batch_size}.')
        self.sampler = sampler
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[list[int]]:
        indices = list(self.sampler)
        dataset = self.sampler.dataset  # type: ignore[attr-defined]
        ratios = {index: _read_ratio(dataset, index) for index in indices[:-1]}
        indices[:-1] = sorted(indices[:-1], key=ratios.__getitem__)
        for start in range(0, len(indices), self.batch_size):
            yield indices[start : start + self.batch_size]

    def __len__(self) -> int:
        length = len(self.sampler)  # type: ignore[arg-type]
        return -(-length // self.batch_size)


def _read_ratio(dataset: BaseDataset, index: int) -> float:
    """Return width / height of an image, from its file where nothing else tells."""
    info = dataset.get_data_info(index)
    if 'width' in info and 'height' in info:
        return info['width'] / info['height']
    width, height = read_size(info['img_path'])
    return width / height
