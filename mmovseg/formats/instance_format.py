"""COCO's instance format: one JSON with boxes and masks, by polygons or run lengths.

The instance metric and the validator share it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as rle

from .annotation_file import (
    KEY,
    NUMBER,
    AnnotationFile,
    is_flag,
    is_vector,
    is_whole,
    other_type,
)
from .findings import shorten

ANNOTATION = {'image_id': KEY, 'category_id': KEY}
SIZE = {'height': NUMBER, 'width': NUMBER}
MIN_COORDINATES = 6  # of a polygon: three corners


class InstanceAnnotations(AnnotationFile):
    """An instance JSON, indexed.

    Attributes:
        categories: Name of every category, by its id.
        images: Entries of the images, by image id.
        annotations: Annotations of every image that has some, by image id.
        unknown: Number of annotations by category, for categories not listed.
    """

    kind = 'JSON of instances'

    def _index(self, images: list, annotations: list, categories: list) -> None:
        listed = self._read_categories(categories)
        self.categories = {cat['id']: cat['name'] for cat in listed}
        self._report_repeated('category name', [cat['name'] for cat in listed])
        infos = self._keep_whole('images', images, {'id': KEY})
        self._report_repeated('image id', [info['id'] for info in infos])
        self.images = {info['id']: info for info in infos}
        whole = self._keep_whole('annotations', annotations, ANNOTATION)
        self._find_unlisted([ann['image_id'] for ann in whole], self.images)
        self._report_repeated('annotation id', [x['id'] for x in whole if 'id' in x])
        self.annotations: dict[Any, list[dict]] = defaultdict(list)
        for annotation in whole:
            self.annotations[annotation['image_id']].append(annotation)
        self._check_categories(whole)
        self._check_numbers(whole)

    def _check_categories(self, annotations: list[dict]) -> None:
        self._counts = Counter(ann['category_id'] for ann in annotations)
        self.unknown = {
            k: n for k, n in self._counts.items() if k not in self.categories
        }
        self._report_any(
            'category ids of annotations have another type than those of the '
            'categories (a number and a string are different ids)',
            [repr(x) for x in self.unknown if other_type(x) in self.categories],
        )

    def _check_numbers(self, annotations: list[dict]) -> None:
        self._report_any(
            'annotations have an "iscrowd" that is not 0 or 1',
            [self.title(x) for x in annotations if not is_flag(x.get('iscrowd', 0))],
            'flags',
        )
        self._report_any(
            'annotations have an "area" that is no number of at least 0',
            [
                self.title(ann)
                for ann in annotations
                if not is_vector([ann.get('area', 0)], 1) or ann.get('area', 0) < 0
            ],
        )

    def count_by_category(self) -> Counter[Any]:
        """Count the annotations of every category."""
        return self._counts

    def left_out(self) -> list[str]:
        """Say which annotations are of no listed image or category."""
        texts = super().left_out()
        if self.unknown:
            names = [
                f'{category!r} ({n} times)' for category, n in self.unknown.items()
            ]
            texts.append(
                f'annotations have categories that are not listed: {shorten(names)}'
            )
        return texts

    def title(self, annotation: dict) -> str:
        """Name an annotation, its image and the file of that for a message."""
        image_id = annotation['image_id']
        name = self.images.get(image_id, {}).get('file_name')
        return (
            f'annotation {annotation.get("id", "without id")} of image {image_id!r}'
            + (f' ({name})' if name else '')
        )

    def check_kind(self, kind: str) -> None:
        """Find the annotations whose masks or boxes cannot be used.

        Args:
            kind: ``'segm'`` or ``'bbox'``.
        """
        find = self._fault_of_mask if kind == 'segm' else self._fault_of_box
        faults = [
            f'{self.title(annotation)}: {fault}'
            for image_id, annotations in self.annotations.items()
            if image_id in self.images
            for annotation in annotations
            if (fault := find(annotation, self.images[image_id]))
        ]
        what = 'segmentation' if kind == 'segm' else 'bbox'
        self._report_any(f'annotations have no usable {what}', faults)

    def size_of(self, image_id: Any) -> tuple[int, int]:
        """Give height and width of an image.

        Raises:
            ValueError: If the JSON does not tell.
        """
        info = self.images[image_id]
        if not is_whole(info, SIZE):
            raise ValueError(
                f'{self.path}: image {image_id!r} has no "height" and "width".'
            )
        return info['height'], info['width']

    @staticmethod
    def _fault_of_box(annotation: dict, info: dict) -> str | None:
        box = annotation.get('bbox')
        if not isinstance(box, list) or not is_vector(box, 4):
            return f'"bbox" is {box!r}, must be 4 numbers: x, y, width, height'
        left, top, width, height = box
        if width < 0 or height < 0:
            return f'"bbox" is {box}, with a negative size'
        if is_whole(info, SIZE) and (
            left >= info['width']
            or top >= info['height']
            or left + width < 0
            or top + height < 0
        ):
            return f'"bbox" is {box}, outside of the image'
        return None

    @staticmethod
    def _fault_of_mask(annotation: dict, info: dict) -> str | None:
        shape = annotation.get('segmentation')
        if not shape or not isinstance(shape, (list, dict)):
            return '"segmentation" is missing or empty'
        if not is_whole(info, SIZE):
            return 'its image has no "height" and "width"'
        size = info['height'], info['width']
        if isinstance(shape, dict):
            return _fault_of_runs(shape, size)
        for polygon in shape:
            if not isinstance(polygon, list):
                return f'"segmentation" has {polygon!r} where a polygon must be'
            if len(polygon) < MIN_COORDINATES or len(polygon) % 2:
                return (
                    f'a polygon has {len(polygon)} coordinates; it needs x and y of at '
                    'least 3 corners'
                )
        return _fault_of_polygons(shape, size)

    def encode(self, annotation: dict) -> dict:
        """Give the mask of an annotation as compressed run lengths.

        Raises:
            ValueError: If the JSON does not tell the size of the image.
        """
        shape = annotation['segmentation']
        height, width = (int(x) for x in self.size_of(annotation['image_id']))
        if isinstance(shape, list):
            return rle.merge(rle.frPyObjects(shape, height, width))
        if isinstance(shape['counts'], list):
            return rle.frPyObjects(shape, height, width)
        return shape


def _fault_of_polygons(shape: Sequence[list], size: tuple[int, int]) -> str | None:
    try:
        corners = np.concatenate([np.asarray(x, np.float64) for x in shape])
    except (TypeError, ValueError):
        return 'a polygon has coordinates that are no numbers'
    low = corners[::2].min(), corners[1::2].min()
    high = corners[::2].max(), corners[1::2].max()
    if not np.isfinite(low).all() or not np.isfinite(high).all():
        return 'a polygon has coordinates that are not finite'
    if min(high) < 0 or low[0] >= size[1] or low[1] >= size[0]:
        return (
            f'its polygons lie outside of the image: x {low[0]:g} to {high[0]:g}, y '
            f'{low[1]:g} to {high[1]:g}, in {size[0]} x {size[1]} (height, width)'
        )
    return None


def _fault_of_runs(shape: dict, size: tuple[int, int]) -> str | None:
    if shape.get('size') != list(size):
        return (
            f'its run lengths are for {shape.get("size")} (height, width), the image '
            f'is {list(size)}'
        )
    counts = shape.get('counts')
    if not isinstance(counts, (str, list)) or not counts:
        return '"segmentation" has no run lengths ("counts")'
    if isinstance(counts, str):
        runs = read_runs(counts)
    else:
        is_valid = all(type(x) is int and x >= 0 for x in counts)
        runs = np.array(counts) if is_valid else None
    if runs is None or runs.sum() != size[0] * size[1]:
        return f'its run lengths do not cover {size[0]} x {size[1]} pixels'
    return None if runs[1::2].any() else 'its mask has no pixel'


def read_runs(counts: str | bytes) -> np.ndarray | None:
    """Read compressed run lengths, in COCO's coding.

    Args:
        counts: Numbers in groups of 5 bits, each from the third on less the one before
            the last.

    Returns:
        The lengths; None if it is no such text.
    """
    data = counts if isinstance(counts, bytes) else counts.encode('ascii', 'replace')
    codes = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        return None
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.append(0, ends[:-1] + 1)
    place = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    if place.max() > 6:  # more than 32 bits
        return None
    runs = np.add.reduceat((codes & 31) << 5 * place, starts)
    is_negative = codes[ends] & 16 > 0
    runs[is_negative] -= 1 << 5 * (place[ends][is_negative] + 1)
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs if runs.min() >= 0 else None
