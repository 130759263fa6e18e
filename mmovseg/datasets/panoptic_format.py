"""The COCO panoptic format: one JSON, one PNG of segment ids per image.

Shared by the data set, the loading transform and the metrics, so that all of them
number the classes alike: **label i is the i-th category of the JSON**. Only the
published format description is followed; ``panopticapi`` is not needed.
"""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from mmengine import fileio

from .image_file import read_image

VOID_ID = 0  # segment id of pixels without annotation


def rgb_to_id(rgb: np.ndarray) -> np.ndarray:
    """Turn colours, ``[..., 3]`` uint8 RGB, into segment ids, ``[...]`` int32."""
    rgb = rgb.astype(np.int32)
    return rgb[..., 0] + (rgb[..., 1] << 8) + (rgb[..., 2] << 16)


def id_to_rgb(ids: np.ndarray) -> np.ndarray:
    """Turn segment ids below 2**24, ``[...]``, into colours, ``[..., 3]`` uint8."""
    ids = np.asarray(ids)
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], -1).astype(np.uint8)


def read_segment_ids(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Read a panoptic PNG as segment ids, ``[H, W]`` int32.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, cut off, or no image.
    """
    return rgb_to_id(
        read_image(path, channel_order='rgb', backend='cv2', backend_args=backend_args)
    )


def check_segment_ids(path: str, in_png: np.ndarray, in_json: list[int]) -> None:
    """Check that a PNG has exactly the segments that the JSON tells of.

    Args:
        path: The PNG, for the message.
        in_png: Distinct ids of the PNG, with or without void.
        in_json: Ids of the image's ``segments_info``.

    Raises:
        ValueError: If the ids differ, one is listed twice, or one is void's.
    """
    listed, present = set(in_json), set(in_png.tolist()) - {VOID_ID}
    problems = [
        f'{what}: {sorted(ids)[:10]} ({len(ids)} in all)'
        for what, ids in (
            ('ids only in the PNG', present - listed),
            ('ids only in the JSON', listed - present),
            ('ids listed twice', {i for i, n in Counter(in_json).items() if n > 1}),
        )
        if ids
    ]
    if problems:
        raise ValueError(
            f'Panoptic PNG {path} and its JSON disagree. ' + '; '.join(problems)
        )


class PanopticImage(NamedTuple):
    """What the JSON says about one image."""

    id: int | str
    file_name: str
    png_name: str
    height: int
    width: int
    segments: list[dict]  # `id`, `category_id`, `iscrowd`, ...


class PanopticAnnotations:
    """A panoptic JSON, indexed.

    Args:
        categories: The JSON's categories; their order is label order.
        images: By image id, in the JSON's order.

    Raises:
        ValueError: If there are no categories, or two share an id.
    """

    def __init__(
        self, categories: list[dict], images: dict[int | str, PanopticImage]
    ) -> None:
        self.categories = categories
        self.images = images
        self.labels = {cat['id']: label for label, cat in enumerate(categories)}
        if not categories or len(self.labels) != len(categories):
            raise ValueError(
                f'A panoptic JSON needs categories with different ids, got '
                f'{len(categories)} categories with {len(self.labels)} ids.'
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Class names as annotated."""
        return tuple(cat['name'] for cat in self.categories)

    @property
    def is_thing(self) -> tuple[bool, ...]:
        """Whether a class is countable."""
        return tuple(bool(cat['isthing']) for cat in self.categories)

    @classmethod
    def load(cls, path: str, backend_args: dict | None = None) -> PanopticAnnotations:
        """Read a JSON file.

        Args:
            path: The file.
            backend_args: Storage backend, as in ``mmengine.fileio.load``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is no panoptic JSON or contradicts itself.
        """
        content = fileio.load(path, file_format='json', backend_args=backend_args)
        missing = {'images', 'annotations', 'categories'} - set(content)
        if missing:
            raise ValueError(
                f'{path} is no panoptic JSON: it has no {sorted(missing)}.'
            )
        if any('segments_info' not in ann for ann in content['annotations']):
            raise ValueError(
                f'{path} is no panoptic JSON: its annotations have no segments_info. '
                'Is it the file of the instances?'
            )
        annotations = {ann['image_id']: ann for ann in content['annotations']}
        images = {}
        for info in content['images']:
            ann = annotations.get(info['id'], {})
            stem = str(PurePosixPath(info['file_name']).with_suffix('.png'))
            images[info['id']] = PanopticImage(
                id=info['id'],
                file_name=info['file_name'],
                png_name=ann.get('file_name', stem),
                height=info['height'],
                width=info['width'],
                segments=ann.get('segments_info', []),
            )
        index = cls(content['categories'], images)
        for image in images.values():
            unknown = {seg['category_id'] for seg in image.segments} - set(index.labels)
            if unknown:
                raise ValueError(
                    f'{path}: image {image.file_name} has segments of unknown '
                    f'categories {sorted(unknown)}.'
                )
        return index
