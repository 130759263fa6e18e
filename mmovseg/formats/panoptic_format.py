"""The COCO panoptic format: one JSON, one PNG of segment ids per image.

The dataset, the loading transform, the metrics and the validator share it, so that all
of them number the classes alike: **label i is the i-th category of the JSON**. Only the
published format description is followed; ``panopticapi`` is not needed.
"""

from __future__ import annotations

import os.path as osp
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import cv2
import numpy as np

from .annotation_file import (
    KEY,
    NUMBER,
    AnnotationFile,
    describe,
    hint_of_type,
    is_flag,
    is_vector,
)
from .findings import shorten
from .image_file import ImageError, open_image, read_file

# What the entries of the JSON need, and of which types.
IMAGE = {'id': KEY, 'file_name': str, 'height': NUMBER, 'width': NUMBER}
ANNOTATION = {'image_id': KEY, 'segments_info': list}
SEGMENT = {'id': int, 'category_id': KEY}
ZEROS = [0, 0, 0]
DOTS = ('.', '..')
VOID_ID = 0  # segment id of pixels without annotation


class PackingError(ImageError):
    """An image whose colors are no segment ids; the message names it."""


def rgb_to_id(rgb: np.ndarray) -> np.ndarray:
    """Turn colors, ``[..., 3]`` uint8 RGB, into segment ids, ``[...]`` int32."""
    rgb = rgb.astype(np.int32)
    return rgb[..., 0] + (rgb[..., 1] << 8) + (rgb[..., 2] << 16)


def id_to_rgb(ids: np.ndarray) -> np.ndarray:
    """Turn segment ids below 2**24, ``[...]``, into colors, ``[..., 3]`` uint8."""
    ids = np.asarray(ids)
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], -1).astype(np.uint8)


def read_segment_ids(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Read a panoptic PNG as segment ids, ``[H, W]`` int32.

    Raises:
        FileNotFoundError: If there is no such file.
        ImageError: If the file is empty, cut off, or no image.
        PackingError: If it is no PNG of 8-bit RGB colors.
    """
    data = read_file(path, backend_args)
    kind = open_image(data, path).format
    what = f'a {kind} file'
    if kind == 'PNG':
        # In the header: bits of a channel; 2 is RGB, 3 palette, 6 RGBA, the rest gray.
        bits, color_type = data[24:26]
        color = 'color' if color_type in (2, 3, 6) else 'gray'
        what = '' if color == 'color' and bits <= 8 else f'a {bits}-bit {color} PNG'
    if what:
        raise PackingError(
            f'{path} is {what}, not a PNG of 8-bit RGB colors; write segment ids with '
            'mmovseg.formats.panoptic_format.id_to_rgb.'
        )
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if bgr is None:
        raise ImageError(f'Image {path} cannot be decoded: it is damaged.')
    return rgb_to_id(bgr[..., ::-1])


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


def split_segments(
    path: str, ids: np.ndarray, segment_ids: Sequence[int]
) -> Iterator[np.ndarray]:
    """Yield the mask of every segment, then check that the JSON lists all of them.

    Args:
        path: The PNG, for the message.
        ids: Its segment ids, ``[H, W]``.
        segment_ids: Ids of the image's ``segments_info``.

    Yields:
        Binary masks, ``[H, W]``. Whoever stops before the end skips the check.

    Raises:
        ValueError: As in :func:`check_segment_ids`.
    """
    covered, is_any_empty = np.count_nonzero(ids == VOID_ID), False
    for segment_id in segment_ids:
        mask = ids == segment_id
        area = np.count_nonzero(mask)
        covered += area
        is_any_empty = is_any_empty or area == 0
        yield mask
    if covered != ids.size or is_any_empty:
        check_segment_ids(path, np.unique(ids), list(segment_ids))


class PanopticImage(NamedTuple):
    """What the JSON says about one image."""

    id: int | str
    file_name: str
    png_name: str
    height: int
    width: int
    segments: list[dict]  # `id`, `category_id`, `iscrowd`, ...
    is_annotated: bool = True


class PanopticAnnotations(AnnotationFile):
    """A panoptic JSON, indexed.

    Attributes:
        categories: The JSON's categories; their order is label order.
        images: By image id, in the JSON's order.
        labels: Label of every category id.
    """

    kind = 'panoptic JSON'

    def _index(self, images: list, annotations: list, categories: list) -> None:
        self.categories = self._index_categories(categories)
        self.labels = {cat['id']: label for label, cat in enumerate(self.categories)}
        by_image = self._index_annotations(annotations)
        infos = self._keep_whole('images', images, IMAGE)
        if not images:
            self._report(f'{self.path} has no images')
        self._report_repeated('image id', [info['id'] for info in infos])
        files = [info['file_name'] for info in infos]
        self._report_repeated('image file', files)
        self.images = {
            info['id']: self._read_image(info, by_image.get(info['id']))
            for info in infos
        }
        names = [image.png_name for image in self.images.values()]
        if len(set(files)) == len(files):
            self._report_repeated('PNG', names)
        self._report_any(
            'PNGs are not in the folder of PNGs; "file_name" of an annotation must be '
            'a path inside of it',
            [name for name in names if name[0] == '/' or name.split('/')[0] in DOTS],
        )
        self._find_unlisted(list(by_image), self.images)
        self._report_unannotated()

    @property
    def names(self) -> tuple[str, ...]:
        """Class names as annotated."""
        return tuple(cat['name'] for cat in self.categories)

    @property
    def is_thing(self) -> tuple[bool, ...]:
        """Whether a class is countable."""
        return tuple(cat.get('isthing') == 1 for cat in self.categories)

    def find(self, image_id: int | str) -> PanopticImage:
        """Give an image by its id.

        Raises:
            KeyError: If the JSON does not list it.
        """
        if image_id not in self.images:
            raise KeyError(
                f'Image {image_id!r} is not in the panoptic JSON {self.path}'
                f'{hint_of_type(image_id, self.images)}.'
            )
        return self.images[image_id]

    def read_png(
        self, image: PanopticImage, folder: str, backend_args: dict | None = None
    ) -> tuple[str, np.ndarray]:
        """Read the PNG of an image.

        Args:
            image: One of :attr:`images`.
            folder: Of the PNGs.
            backend_args: Storage backend, as in ``mmengine.fileio.get``.

        Returns:
            Its path; its segment ids, ``[H, W]`` int32. Whoever uses them also
            compares them with the JSON, see :func:`check_segment_ids`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is broken, or of another size than the JSON says.
        """
        path = osp.join(folder, image.png_name)
        ids = read_segment_ids(path, backend_args)
        if ids.shape != (image.height, image.width):
            raise ValueError(
                f'Panoptic PNG {path} is {ids.shape} (height, width), but '
                f'{self.path} says {(image.height, image.width)}.'
            )
        return path, ids

    def _index_categories(self, categories: list) -> list[dict]:
        whole = self._read_categories(categories)
        self._report_any(
            'categories lack "isthing", 0 or 1',
            [cat['name'] for cat in whole if not is_flag(cat.get('isthing'))],
            'flags',
        )
        self._report_any(
            'categories have a "color" that is not 3 numbers',
            [cat['name'] for cat in whole if not is_vector(cat.get('color', ZEROS), 3)],
        )
        return whole

    def _index_annotations(self, annotations: list) -> dict[int | str, dict]:
        whole = self._keep_whole('annotations', annotations, ANNOTATION)
        if any(isinstance(x, dict) and 'segments_info' not in x for x in annotations):
            self._report(
                f'is {self.path} the file of the instances? Its annotations have no '
                'segments_info'
            )
        self._report_repeated('annotated image id', [ann['image_id'] for ann in whole])
        broken, boxes, crowds = [], [], []
        for annotation in whole:
            image_id, segments = annotation['image_id'], annotation['segments_info']
            if not all(map(_is_segment, segments)):
                broken.append(image_id)
                segments = [x for x in segments if _is_segment(x)]
                annotation['segments_info'] = segments
            if not all(is_vector(x['bbox'], 4) for x in segments if 'bbox' in x):
                boxes.append(image_id)
            crowds += [
                f'{image_id} (segment {x["id"]}: {x["iscrowd"]!r})'
                for x in segments
                if not is_flag(x.get('iscrowd', 0))
            ]
        self._report_any(f'images have segments without {describe(SEGMENT)}', broken)
        self._report_any('images have segments whose "bbox" is not 4 numbers', boxes)
        self._report_any(
            'segments have an "iscrowd" that is not 0 or 1, by image', crowds, 'flags'
        )
        return {annotation['image_id']: annotation for annotation in whole}

    def _read_image(self, info: dict, annotation: dict | None) -> PanopticImage:
        stem = str(PurePosixPath(info['file_name']).with_suffix('.png'))
        segments = annotation['segments_info'] if annotation else []
        for segment in segments:
            if segment['category_id'] not in self.labels:
                category = segment['category_id']
                self._report(
                    f'image {info["file_name"]} has segments of unknown categories '
                    f'{[category]}: segment {segment["id"]} has the unknown category '
                    f'{category}{hint_of_type(category, self.labels)}',
                    kind='ids',
                )
        # What is no name is the name of no file.
        name = str((annotation or {}).get('file_name', stem))
        return PanopticImage(
            id=info['id'],
            file_name=info['file_name'],
            png_name=posixpath.normpath(name),
            height=info['height'],
            width=info['width'],
            segments=segments,
            is_annotated=annotation is not None,
        )

    def _report_unannotated(self) -> None:
        """Refuse images without annotation if annotations without image are left."""
        bare = [x.file_name for x in self.images.values() if not x.is_annotated]
        if bare and self.unlisted:
            self._report(
                'images have no annotation, while annotations name images that are not '
                f'listed ({shorten(self.unlisted)})',
                bare,
            )


def _is_segment(entry: Any) -> bool:
    """Do what ``is_whole(entry, SEGMENT)`` does, for a million segments."""
    return (
        isinstance(entry, dict)
        and type(entry.get('id')) is int
        and type(entry.get('category_id')) in KEY
        and entry['category_id'] != ''
    )
