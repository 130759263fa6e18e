"""Check a data set in COCO panoptic format, without trusting any of it."""

from __future__ import annotations

import io
import os.path as osp
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from mmengine import fileio
from PIL import Image

from ..image_file import read_image
from ..panoptic_dataset import PanopticDataset
from ..panoptic_format import (
    VOID_ID,
    PanopticAnnotations,
    PanopticImage,
    read_segment_ids,
)
from .findings import Findings, ImageFindings, shorten

# What the entries of the JSON need, and of which types.
KEY, NUMBER = (int, str), (int, float)
CATEGORY = {'id': KEY, 'name': str}
IMAGE = {'id': KEY, 'file_name': str, 'height': NUMBER, 'width': NUMBER}
ANNOTATION = {'image_id': KEY, 'segments_info': list}
SEGMENT = {'id': int, 'category_id': KEY}
# Paths do not depend on classes, and those of the file may be wrong.
NO_CLASSES = PanopticAnnotations([{'id': 0, 'name': '', 'isthing': 0}], {})


class PanopticCheck:
    """The images of a panoptic data set, each checked on its own.

    ``PanopticDataset`` stops at the first fault; this collects them.

    Args:
        dataset: Built with ``lazy_init=True``; only its paths are used.

    Attributes:
        names: Class names in label order.
        is_thing: Thing flags; a class without one counts as stuff.
        found: What is wrong with the JSON itself.
    """

    def __init__(self, dataset: PanopticDataset) -> None:
        self.dataset = dataset
        self.ann_file = dataset.ann_file
        self.seg_prefix = dataset.data_prefix.get('seg') or ''
        self.backend_args = dataset.backend_args
        self.found = Findings()
        self.names: tuple[str, ...] = ()
        self.is_thing: tuple[bool, ...] = ()
        self.labels: dict[Any, int] = {}
        self.images: list[dict] = []
        self.annotations: dict[Any, dict] = {}
        content = self._read_json()
        if content is not None:
            self._index_categories(content['categories'])
            self._index_images(content['images'])
            self._index_annotations(content['annotations'])
            self._list_pngs()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def _read_json(self) -> dict | None:
        try:
            content = fileio.load(
                self.ann_file, file_format='json', backend_args=self.backend_args
            )
        except (OSError, ValueError) as error:
            self.found.problem('file', f'{self.ann_file}: {error}')
            return None
        needed = ('images', 'annotations', 'categories')
        missing = [key for key in needed if not isinstance(content, dict)] or [
            key for key in needed if not isinstance(content.get(key), list)
        ]
        if missing:
            self.found.problem(
                'json',
                f'{self.ann_file} is no panoptic JSON: it has no list of {missing}',
            )
            return None
        return content

    def _index_categories(self, categories: list[dict]) -> None:
        whole = self._keep_whole('categories', categories, CATEGORY)
        if not categories:
            self.found.problem('json', f'{self.ann_file} has no categories')
        self._find_repeated('category id', [cat['id'] for cat in whole])
        self.names = tuple(cat['name'] for cat in whole)
        self.labels = {cat['id']: label for label, cat in enumerate(whole)}
        wrong = [cat['name'] for cat in whole if cat.get('isthing') not in (0, 1)]
        self._report('categories lack "isthing", 0 or 1', wrong, kind='flags')
        wrong = [cat['name'] for cat in whole if not _is_vector(cat, 'color', 3)]
        self._report('categories have a "color" that is not 3 numbers', wrong)
        self.is_thing = tuple(cat.get('isthing') == 1 for cat in whole)

    def _index_images(self, images: list[dict]) -> None:
        self.images = self._keep_whole('images', images, IMAGE)
        self._find_repeated('image id', [info['id'] for info in self.images])
        self._find_repeated('image file', [info['file_name'] for info in self.images])
        if not images:
            self.found.problem('json', f'{self.ann_file} has no images')

    def _index_annotations(self, annotations: list[dict]) -> None:
        whole = self._keep_whole('annotations', annotations, ANNOTATION)
        if len(whole) < len(annotations):
            self.found.problem('json', f'is {self.ann_file} the file of the instances?')
        ids = [ann['image_id'] for ann in whole]
        self._find_repeated('annotated image id', ids)
        self.annotations = dict(zip(ids, whole, strict=True))
        self._index_segments()
        known = {info['id'] for info in self.images}
        strange = [image_id for image_id in self.annotations if image_id not in known]
        self._report('annotations are of images that are not listed', strange)
        bare = [
            info['file_name']
            for info in self.images
            if info['id'] not in self.annotations
        ]
        self._report('images have no annotation', bare)

    def _index_segments(self) -> None:
        broken, boxes = [], []
        for image_id, annotation in self.annotations.items():
            segments = annotation['segments_info']
            whole = [segment for segment in segments if _is_whole(segment, SEGMENT)]
            if len(whole) < len(segments):
                broken.append(image_id)
            if not all(_is_vector(segment, 'bbox', 4) for segment in whole):
                boxes.append(image_id)
            annotation['segments_info'] = whole
        self._report(f'images have segments without {_describe(SEGMENT)}', broken)
        self._report('images have segments whose "bbox" is not 4 numbers', boxes)

    def _keep_whole(
        self, what: str, entries: list, needed: Mapping[str, Any]
    ) -> list[dict]:
        """Report entries that lack something, and leave them out."""
        broken = [i for i, entry in enumerate(entries) if not _is_whole(entry, needed)]
        self._report(
            f'of {len(entries)} {what} lack one of {_describe(needed)}; by position',
            broken,
        )
        return [entry for entry in entries if _is_whole(entry, needed)]

    def _report(self, what: str, items: Sequence, kind: str = 'json') -> None:
        if items:
            self.found.problem(kind, f'{len(items)} {what}: {shorten(items)}')

    def _find_repeated(self, what: str, values: list) -> None:
        repeated = [value for value, count in Counter(values).items() if count > 1]
        self._report(f'{what}s occur more than once', repeated)

    def _list_pngs(self) -> None:
        """Look for PNGs that the JSON does not tell of."""
        if not fileio.isdir(self.seg_prefix, backend_args=self.backend_args):
            self.found.problem('file', f'there is no PNG folder {self.seg_prefix}')
            return
        files = fileio.list_dir_or_file(
            self.seg_prefix,
            list_dir=False,
            suffix='.png',
            recursive=True,
            backend_args=self.backend_args,
        )
        spare = sorted(set(files) - {self.png_name(info) for info in self.images})
        if spare:
            self.found.note(
                'ids',
                f'{len(spare)} PNGs in {self.seg_prefix} are not in the JSON: '
                f'{shorten(spare)}',
            )

    def png_name(self, info: dict) -> str:
        """Give the name of an image's PNG, as ``PanopticDataset`` finds it."""
        annotation = self.annotations.get(info['id'], {})
        stem = str(PurePosixPath(info['file_name']).with_suffix('.png'))
        # What is no name is the name of no file.
        return str(annotation.get('file_name', stem))

    def image_path(self, info: dict) -> str:
        """Give the path of an image, as the data set finds it."""
        image = PanopticImage(
            id=info['id'],
            file_name=info['file_name'],
            png_name=self.png_name(info),
            height=info['height'],
            width=info['width'],
            segments=[],
        )
        return self.dataset._parse_image(image, NO_CLASSES)['img_path']

    def check(self, index: int) -> ImageFindings:
        """Check one image, its PNG, and their entries in the JSON.

        Returns:
            The findings. Pixels and segments are counted where the PNG can be read;
            crowds count like others.
        """
        info, found = self.images[index], ImageFindings()
        size = (info['height'], info['width'])
        image_path = self.image_path(info)
        try:
            shape = read_image(image_path, backend_args=self.backend_args).shape[:2]
        except (OSError, ValueError) as error:
            found.problem('file', f'image {image_path}: {error}')
        else:
            if shape != size:
                found.problem(
                    'size', f'{image_path} is {shape} (height, width), its JSON {size}'
                )
        path = osp.join(self.seg_prefix, self.png_name(info))
        ids = self._read_png(path, found)
        if ids is not None:
            if ids.shape != size:
                found.problem('size', f'{path} is {ids.shape}, its JSON {size}')
            self._check_segments(info, path, ids, found)
        return found

    def _read_png(self, path: str, found: Findings) -> np.ndarray | None:
        """Read segment ids if the file holds 8-bit colours."""
        try:
            data = fileio.get(path, backend_args=self.backend_args)
            with Image.open(io.BytesIO(data)) as png:
                mode, kind = png.mode, png.format
            ids = read_segment_ids(path, self.backend_args)
        except (OSError, ValueError) as error:
            found.problem('file', f'PNG {path}: {error}')
            return None
        if kind != 'PNG' or mode not in ('RGB', 'RGBA'):
            found.problem(
                'packing',
                f'{path} is a {kind} of mode {mode}, not a PNG of RGB colours; write '
                'segment ids with mmovseg.datasets.panoptic_format.id_to_rgb',
            )
            return None
        return ids

    def _check_segments(
        self, info: dict, path: str, ids: np.ndarray, found: ImageFindings
    ) -> None:
        segments = self.annotations.get(info['id'], {}).get('segments_info', [])
        values, counts = np.unique(ids, return_counts=True)
        areas = dict(zip(values.tolist(), counts.tolist(), strict=True))
        if VOID_ID in areas:
            found.ignored[VOID_ID] = areas.pop(VOID_ID)
        listed = [segment['id'] for segment in segments]
        self._compare_ids(path, areas, listed, found)
        stuff = Counter()
        wrong_areas = []
        for segment in segments:
            label = self.labels.get(segment['category_id'])
            area = areas.get(segment['id'], 0)
            if label is None:
                found.problem(
                    'ids',
                    f'{path}: segment {segment["id"]} has the unknown category '
                    f'{segment["category_id"]}',
                )
                continue
            if segment.get('area', area) != area and area:
                wrong_areas.append(segment['id'])
            if area:
                found.pixels[label] = found.pixels.get(label, 0) + area
            found.segments[label] = found.segments.get(label, 0) + 1
            stuff[label] += not self.is_thing[label] and not segment.get('iscrowd', 0)
        if wrong_areas:
            found.note(
                'ids', f'{path}: "area" of segments {shorten(wrong_areas)} is wrong'
            )
        several = [self.names[label] for label, count in stuff.items() if count > 1]
        if several:
            found.note(
                'flags',
                f'{path}: stuff with several segments, which is one for the model (or '
                f'is it a thing?): {shorten(several)}',
            )
        if not found.pixels:
            found.note('use', f'{path} has no labelled pixel')

    def _compare_ids(
        self, path: str, areas: dict[int, int], listed: list, found: Findings
    ) -> None:
        bad = [i for i in listed if not 0 < i < 2**24]
        if bad:
            found.problem(
                'ids', f'{path}: ids must be 1 to 16777215, got {shorten(bad)}'
            )
        twice = [i for i, count in Counter(listed).items() if count > 1]
        if twice:
            found.problem('ids', f'{path}: ids listed twice: {shorten(twice)}')
        present, expected = set(areas), set(listed) - {VOID_ID}
        if present == expected:
            return
        swapped = {(i & 255) << 16 | i & 65280 | i >> 16 for i in present}
        if swapped == expected:
            found.problem(
                'packing',
                f'{path}: red and blue are swapped (OpenCV writes BGR); R must be the '
                'low byte of the id',
            )
            return
        for what, rest in (
            ('in the PNG and not in the JSON', present - expected),
            ('in the JSON and not in the PNG', expected - present),
        ):
            if rest:
                texts = [
                    f'{i} ({areas[i]} pixels)' if i in areas else i
                    for i in sorted(rest, key=str)
                ]
                found.problem('ids', f'{path}: ids {what}: {shorten(texts)}')

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray, list[dict]]:
        """Read what is to be drawn.

        Returns:
            Image, RGB, ``[H, W, 3]``; segment ids, ``[H, W]``; segments with ``id``,
            ``category_id`` (the label) and ``isthing``.

        Raises:
            OSError: If a file is missing.
            ValueError: If a file is broken.
        """
        info = self.images[index]
        image = read_image(
            self.image_path(info),
            channel_order='rgb',
            backend_args=self.backend_args,
        )
        ids = read_segment_ids(
            osp.join(self.seg_prefix, self.png_name(info)), self.backend_args
        )
        segments = []
        for segment in self.annotations.get(info['id'], {}).get('segments_info', []):
            label = self.labels.get(segment['category_id'])
            if label is not None:
                thing = self.is_thing[label]
                segments.append(
                    {'id': segment['id'], 'category_id': label, 'isthing': thing}
                )
        return image, ids, segments

    def name_of(self, index: int) -> str:
        """Give the file name of an image."""
        return self.images[index]['file_name']


def _is_whole(entry: Any, needed: Mapping[str, Any]) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(key), kind) and entry[key] != ''
        for key, kind in needed.items()
    )


def _is_vector(entry: Mapping[str, Any], key: str, length: int) -> bool:
    """Whether there is a list of so many numbers, or nothing."""
    values = entry.get(key, [0] * length)
    return (
        isinstance(values, list)
        and len(values) == length
        and all(isinstance(value, NUMBER) for value in values)
    )


def _describe(needed: Mapping[str, Any]) -> str:
    names = {KEY: 'int or str', NUMBER: 'number'}
    return ', '.join(
        f'"{key}" ({names.get(kind) or kind.__name__})' for key, kind in needed.items()
    )
