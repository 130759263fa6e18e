"""What was found in a photo, as all label files are made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pycocotools import mask as rle

from ..vocabulary import Vocabulary
from .names import photo_stem

MAX_GRAY = 1 << 16  # values of a PNG with one channel


class ResultLike(Protocol):
    """The part of :class:`mmovseg.apis.Result` that labels are made from."""

    @property
    def label_map(self) -> np.ndarray:
        """The ``id`` of a segment at every pixel, ``[H, W]``."""

    @property
    def segments(self) -> Sequence[Any]:
        """The segments, with the attributes of :class:`mmovseg.apis.Segment`."""


@dataclass(frozen=True)
class PhotoLabels:
    """The segments of a photo.

    Attributes:
        file_name: Path of the photo, with ``/``, from the folder of all photos.
        height: Pixels of the upright photo.
        width: The same.
        segments: Each with ``label`` (class index), ``name``, ``isthing``, ``score``
            (0 to 1, or None), ``area`` (pixels), ``box`` (x, y, width, height) and
            ``mask`` (COCO's compressed RLE). Where masks overlap, the first one is on
            top.
        source: Where the photo is now; None if it is in no file.
    """

    file_name: str
    height: int
    width: int
    segments: tuple[Mapping[str, Any], ...]
    source: Path | None = None

    @classmethod
    def from_result(
        cls, result: ResultLike, file_name: str, source: Path | None = None
    ) -> PhotoLabels:
        """Take what a model has found; see :class:`mmovseg.apis.Result`."""
        height, width = result.label_map.shape
        numbers = np.asfortranarray(result.label_map)  # once, not for every mask
        segments = []
        for segment in result.segments:
            mask = segment.mask
            if mask is None:
                mask = rle.encode((numbers == segment.id).view(np.uint8))
                mask = dict(size=[height, width], counts=mask['counts'].decode())
            values = {**segment, 'mask': mask}
            segments.append({key: values[key] for key in _KEYS})
        return cls(file_name, height, width, tuple(segments), source)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], source: Path | None) -> PhotoLabels:
        """Read what :meth:`to_dict` returns."""
        size = content['height'], content['width']
        return cls(content['photo'], *size, tuple(content['segments']), source)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return dict(
            photo=self.file_name,
            height=self.height,
            width=self.width,
            segments=list(self.segments),
        )

    @property
    def stem(self) -> str:
        """The path of the photo without its ending; its files are named after it."""
        return photo_stem(self.file_name)

    def keep(self, wanted: Callable[[Mapping[str, Any]], bool]) -> PhotoLabels:
        """Return the same without some segments."""
        return replace(self, segments=tuple(filter(wanted, self.segments)))

    def masks(self) -> list[np.ndarray]:
        """Return the masks of all segments, ``[H, W]`` uint8 each."""
        return [decode_mask(segment['mask']) for segment in self.segments]

    def number_map(self) -> np.ndarray:
        """Return the number of the segment at every pixel, ``[H, W]`` int32.

        The first segment is 1, pixels without one are 0.
        """
        numbers = np.zeros((self.height, self.width), np.int32)
        for number, mask in reversed(list(enumerate(self.masks(), 1))):
            numbers[mask.view(bool)] = number
        return numbers

    def paint(self, values: Sequence[int], empty: int = 0) -> np.ndarray:
        """Return a value of the segment at every pixel, ``[H, W]`` int64.

        Args:
            values: One per segment.
            empty: Value of pixels without a segment.
        """
        return np.asarray([empty, *values])[self.number_map()]


_KEYS = ('label', 'name', 'isthing', 'score', 'area', 'box', 'mask')


class Photos(Protocol):
    """Photos that can be gone through several times, such as a list."""

    def __iter__(self) -> Any:
        """Give every photo, in order."""

    def __len__(self) -> int:
        """Return how many there are."""


def decode_mask(mask: Mapping[str, Any]) -> np.ndarray:
    """Decode COCO's compressed RLE, ``[H, W]`` uint8."""
    return np.ascontiguousarray(rle.decode(dict(mask)))


def check_count(vocabulary: Vocabulary, limit: int, what: str) -> None:
    """Check that a format has numbers for all classes.

    Raises:
        ValueError: If there are more classes than ``limit``.
    """
    if len(vocabulary) > limit:
        raise ValueError(
            f'{what} has numbers for {limit} classes, and there are {len(vocabulary)}: '
            'take fewer classes or another format.'
        )
