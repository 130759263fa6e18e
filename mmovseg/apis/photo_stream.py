"""Photos on their way through a model: read ahead, put into batches, finished behind.

Reading, the model and what is done with results overlap; every queue has a limit.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from PIL import Image

from ..fileio import printable
from .images import ImageError, array_to_bgr, load_image, pil_to_bgr
from .photo_pipeline import Photo

WINDOW = 3  # batches of photos that wait for others of their size


class LoadedPhoto(NamedTuple):
    """A photo and what the test pipeline makes of it."""

    photo: Photo
    data: dict[str, Any]


class FailedImage(NamedTuple):
    """A photo that cannot be used.

    Attributes:
        input: Its path, or the name that stands for it.
        message: Why.
    """

    input: str
    message: str


def make_failed(source: Any, name: str, error: Exception) -> FailedImage:
    """Describe a photo that cannot be used.

    Args:
        source: A path, an array or a Pillow image.
        name: What it is called if it has no path.
        error: An :class:`ImageError`, or one that says that memory is full.
    """
    shown = os.fsdecode(source) if isinstance(source, (str, PathLike)) else name
    message = str(error)
    if not isinstance(error, ImageError):
        message = (
            f'{printable(shown)} needs more memory than there is; make it smaller.'
        )
    return FailedImage(shown, message)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is full, which PyTorch does in several ways."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def load_photos(
    sources: Sequence[Any],
    names: Sequence[str],
    pipeline: Callable[[Photo], dict[str, Any]],
    *,
    ahead: int = 1,
    num_workers: int = 1,
) -> Generator[LoadedPhoto | FailedImage]:
    """Read and resize photos in threads, and yield them in order.

    Args:
        sources: Paths, arrays or Pillow images.
        names: What each is called.
        pipeline: Called from several threads at once.
        ahead: Photos loaded before they are asked for; as many as there are threads
            are loaded besides.
        num_workers: Threads.
    """

    def load(index: int) -> LoadedPhoto | FailedImage:
        try:
            photo = Photo(index, names[index], read_photo(sources[index]))
            return LoadedPhoto(photo, pipeline(photo))
        except (ImageError, MemoryError) as error:
            return make_failed(sources[index], names[index], error)

    executor = ThreadPoolExecutor(num_workers, 'mmovseg-load')
    try:
        indices = iter(range(len(sources)))
        futures = deque(
            executor.submit(load, i) for i in islice(indices, ahead + num_workers)
        )
        while futures:
            yield futures.popleft().result()
            futures.extend(executor.submit(load, i) for i in islice(indices, 1))
    finally:
        executor.shutdown(cancel_futures=True)


def batch_by_size(
    photos: Iterable[LoadedPhoto], batch_size: int, divisor: int = 1
) -> Iterator[list[LoadedPhoto]]:
    """Put photos together that have one size after padding.

    A photo waits until its batch is full or three batches of photos wait; then those
    of the longest waiting photo's size go, fewer than a batch.

    Args:
        photos: In order.
        batch_size: Photos in a full batch.
        divisor: Height and width are padded to multiples of it.

    Yields:
        Batches of 1 to ``batch_size``; every photo is in one of them.
    """
    waiting: dict[tuple[int, int], list[LoadedPhoto]] = {}  # longest waiting first
    count = 0
    for item in photos:
        height, width = item.data['inputs'].shape[-2:]
        size = (-(-height // divisor), -(-width // divisor))
        waiting.setdefault(size, []).append(item)
        count += 1
        ready = size if len(waiting[size]) == batch_size else None
        if ready is None and count == WINDOW * batch_size:
            ready = next(iter(waiting))
        if ready is not None:
            count -= len(waiting[ready])
            yield waiting.pop(ready)
    yield from waiting.values()


def run_batch(
    batch: Sequence[LoadedPhoto],
    compute: Callable[[Sequence[LoadedPhoto]], list[BaseDataElement]],
    fail: Callable[[Photo, Exception], None],
) -> list[tuple[Photo, BaseDataElement]]:
    """Run the model; photos that fill the memory together are run one by one.

    Args:
        batch: Photos of one size.
        compute: The model.
        fail: Told of a photo that fills the memory alone.

    Returns:
        The photos that could be run, and what was found.
    """
    photos = [photo for photo, _ in batch]
    try:
        return list(zip(photos, compute(batch), strict=True))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        if len(batch) == 1:
            fail(photos[0], error)
            return []
    return list(chain.from_iterable(run_batch([x], compute, fail) for x in batch))


def read_photo(source: Any) -> np.ndarray:
    """Read a path, an array or a Pillow image as BGR, uint8, ``[H, W, 3]``.

    Raises:
        ImageError: If it cannot be used.
    """
    if isinstance(source, (str, PathLike)):
        return load_image(os.fspath(source))
    if isinstance(source, np.ndarray):
        return array_to_bgr(source)
    if isinstance(source, Image.Image):
        return pil_to_bgr(source)
    raise ImageError(
        f'A photo is a path, a numpy array or a Pillow image, got {type(source)}.'
    )
