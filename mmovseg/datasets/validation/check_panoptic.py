"""Check a dataset in COCO panoptic format, without trusting any of it."""

from __future__ import annotations

import os.path as osp
from collections import Counter

import numpy as np
from mmengine import fileio

from ...formats.findings import Findings, shorten
from ...formats.image_file import read_photo
from ...formats.panoptic_format import (
    VOID_ID,
    PackingError,
    PanopticAnnotations,
    PanopticImage,
    read_segment_ids,
)
from ..panoptic_dataset import PanopticDataset
from .findings import ImageFindings


class PanopticCheck:
    """The images of a panoptic dataset, each checked on its own.

    ``PanopticDataset`` stops at the first faults; this collects them.

    Args:
        dataset: Built with ``lazy_init=True``; only its paths are used.

    Attributes:
        annotations: The JSON as far as it can be used.
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
        try:
            self.annotations = PanopticAnnotations.read(
                self.ann_file, self.backend_args
            )
        except (OSError, ValueError) as error:
            self.found.problem('file', f'{self.ann_file}: {error}')
            self.annotations = PanopticAnnotations(self.ann_file)
        else:
            self.found.add(self.annotations.found)
            self._check_coverage()
            self._list_pngs()
        self.names = self.annotations.names
        self.is_thing = self.annotations.is_thing
        self.images = list(self.annotations.images.values())

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def _check_coverage(self) -> None:
        """Look for entries without counterpart, and whether anything can be learned."""
        images = self.annotations.images.values()
        for text in self.annotations.left_out():
            self.found.problem('json', text)
        bare = [image.file_name for image in images if not image.is_annotated]
        if bare:
            self.found.problem(
                'json', f'{len(bare)} images have no annotation: {shorten(bare)}'
            )
        segments = [segment for image in images for segment in image.segments]
        if images and all(segment.get('iscrowd') for segment in segments):
            self.found.problem(
                'use',
                f'none of the {len(segments)} segments of {self.ann_file} is anything '
                'but a crowd ("iscrowd"): no thing can be learned, and metrics score '
                'nothing',
            )

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
        known = {image.png_name for image in self.annotations.images.values()}
        spare = sorted(set(files) - known)
        if spare:
            self.found.note(
                'ids',
                f'{len(spare)} PNGs in {self.seg_prefix} are not in the JSON: '
                f'{shorten(spare)}',
            )

    def image_path(self, image: PanopticImage) -> str:
        """Give the path of an image, as the dataset finds it."""
        bare = image._replace(segments=[])  # whose categories may be unknown
        return self.dataset._parse_image(bare, self.annotations)['img_path']

    def check(self, index: int) -> ImageFindings:
        """Check one image, its PNG, and their entries in the JSON.

        Returns:
            The findings. Pixels and segments are counted where the PNG can be read;
            crowds count like others.
        """
        image, found = self.images[index], ImageFindings()
        size = (image.height, image.width)
        image_path = self.image_path(image)
        try:
            shape = read_photo(image_path, self.backend_args).shape[:2]
        except (OSError, ValueError) as error:
            found.problem('file', f'image {image_path}: {error}')
        else:
            if shape != size:
                found.problem(
                    'size', f'{image_path} is {shape} (height, width), its JSON {size}'
                )
        path = osp.join(self.seg_prefix, image.png_name)
        ids = self._read_png(path, found)
        if ids is not None:
            if ids.shape != size:
                found.problem('size', f'{path} is {ids.shape}, its JSON {size}')
            self._check_segments(image, path, ids, found)
        return found

    def _read_png(self, path: str, found: Findings) -> np.ndarray | None:
        """Read segment ids if the file holds 8-bit colors."""
        try:
            return read_segment_ids(path, self.backend_args)
        except PackingError as error:
            found.problem('packing', str(error))
        except (OSError, ValueError) as error:
            found.problem('file', f'PNG {path}: {error}')
        return None

    def _check_segments(
        self, image: PanopticImage, path: str, ids: np.ndarray, found: ImageFindings
    ) -> None:
        values, counts = np.unique(ids, return_counts=True)
        areas = dict(zip(values.tolist(), counts.tolist(), strict=True))
        if VOID_ID in areas:
            found.ignored[VOID_ID] = areas.pop(VOID_ID)
        listed = [segment['id'] for segment in image.segments]
        self._compare_ids(path, areas, listed, found)
        stuff: Counter[int] = Counter()
        wrong_areas = []
        for segment in image.segments:
            label = self.annotations.labels.get(segment['category_id'])
            area = areas.get(segment['id'], 0)
            if label is None:  # a problem of the JSON
                continue
            if segment.get('area', area) != area and area:
                wrong_areas.append(segment['id'])
            if area:
                found.pixels[label] = found.pixels.get(label, 0) + area
            found.segments[label] = found.segments.get(label, 0) + 1
            if segment.get('iscrowd', 0):
                found.crowds[label] = found.crowds.get(label, 0) + 1
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
            found.note('use', f'{path} has no labeled pixel')

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
        image = self.images[index]
        bgr = read_photo(self.image_path(image), self.backend_args)
        ids = read_segment_ids(
            osp.join(self.seg_prefix, image.png_name), self.backend_args
        )
        segments = []
        for segment in image.segments:
            label = self.annotations.labels.get(segment['category_id'])
            if label is not None:
                thing = self.is_thing[label]
                segments.append(
                    {'id': segment['id'], 'category_id': label, 'isthing': thing}
                )
        return np.ascontiguousarray(bgr[..., ::-1]), ids, segments

    def name_of(self, index: int) -> str:
        """Give the file name of an image."""
        return self.images[index].file_name
