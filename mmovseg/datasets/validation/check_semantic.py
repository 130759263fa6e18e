"""Check a dataset of label maps through the transforms that load it."""

from __future__ import annotations

import copy
import os.path as osp
from collections import Counter
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmseg.datasets import BaseSegDataset

from ...formats.findings import Findings, shorten
from ...formats.image_file import EXTENSIONS, read_photo
from ...formats.label_map_file import LabelMapError, read_label_map
from ...transforms import LoadSemanticAnnotations
from ..semantic_dataset import SemanticDataset, is_inside
from .findings import ImageFindings

PNG_VALUES = 255  # the largest value of 8 bits


class SemanticCheck:
    """The images of a dataset with one label map each, each checked on its own.

    Labels are those that the loading transforms of the pipeline give, so a check sees
    what training sees, ``reduce_zero_label`` and subsets of classes included.

    Args:
        dataset: A dataset of mmseg's kind, built with ``lazy_init=True``.
        loaders: The transforms that make ``gt_seg_map``, in order.
        names: Class names, where the loaders renumber the classes of the dataset.

    Attributes:
        names: Class names in the order of the labels.
        is_thing: None; label maps do not tell.
        found: What is wrong with the lists of files.

    Raises:
        ValueError: If the dataset has no class names, which metrics need.
    """

    is_thing = None

    def __init__(
        self,
        dataset: BaseSegDataset,
        loaders: Sequence[BaseTransform],
        *,
        names: Sequence[str] | None = None,
    ) -> None:
        self.dataset, self.loaders = dataset, tuple(loaders)
        self.names = tuple(names or dataset.metainfo.get('classes') or ())
        self.ignore_index = dataset.ignore_index
        for loader in self.loaders:
            self.ignore_index = getattr(loader, 'ignore_index', self.ignore_index)
        if not self.names:
            raise ValueError(
                'The dataset has no class names; give metainfo=dict(classes=[...]).'
            )
        self.found = Findings()
        self.images = self._list_images()
        self._list_files()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def _list_images(self) -> list[dict]:
        try:
            return self.dataset.load_data_list()
        except (OSError, ValueError, AssertionError) as error:
            message, is_missing = str(error), isinstance(error, FileNotFoundError)
        try:
            # SemanticDataset stops at missing files; here they are found one by one.
            images = BaseSegDataset.load_data_list(self.dataset)
        except (OSError, ValueError, AssertionError):
            images, is_missing = [], False
        if not is_missing:
            self.found.problem('file', message)
        return images

    def _list_files(self) -> None:
        """Look for an empty list, and for labels without an image."""
        dataset, found = self.dataset, self.found
        folder = dataset.data_prefix.get('img_path') or ''
        if not self.images and not found.problems:
            suffixes = Counter(osp.splitext(name)[1] for name in self._files(folder))
            found.problem(
                'file',
                f'no image in {folder} ends with img_suffix {dataset.img_suffix!r}; '
                f'there are {dict(suffixes) or "no files"}',
            )
        labels = dataset.data_prefix.get('seg_map_path')
        listed = bool(dataset.ann_file) and not osp.isdir(dataset.ann_file)
        if listed or not self.images:
            return
        if not isinstance(dataset, SemanticDataset):  # which refuses them
            self._find_left_out(folder, labels)
        if not labels:
            return
        expected = {osp.normpath(info['seg_map_path']) for info in self.images}
        spare = [
            name
            for name in self._files(labels, dataset.seg_map_suffix)
            if osp.normpath(osp.join(labels, name)) not in expected
        ]
        if spare:
            found.problem(
                'file',
                f'{len(spare)} label maps in {labels} have no image: '
                f'{shorten(sorted(spare))}',
            )

    def _find_left_out(self, folder: str, labels: str | None) -> None:
        """Look for photos whose names do not end as the dataset expects."""
        suffix = self.dataset.img_suffix
        if not suffix.startswith('.'):  # a part of the name, which chooses photos
            return
        left_out = [
            name
            for name in self._files(folder)
            if osp.splitext(name)[1].lower() in EXTENSIONS
            and not name.endswith(suffix)
            and not (labels and is_inside(osp.join(folder, name), labels))
        ]
        if left_out:
            self.found.problem(
                'file',
                f'{len(left_out)} image files in {folder} do not end with img_suffix '
                f'{suffix!r} and are left out: {shorten(sorted(left_out))}',
            )

    def _files(self, folder: str, suffix: str | None = None) -> list[str]:
        backend_args = self.dataset.backend_args
        if not fileio.isdir(folder, backend_args=backend_args):
            return []
        return list(
            fileio.list_dir_or_file(
                folder,
                list_dir=False,
                suffix=suffix,
                recursive=True,
                backend_args=backend_args,
            )
        )

    def check(self, index: int) -> ImageFindings:
        """Check one image and its label map.

        Returns:
            The findings; pixels are counted where the map can be loaded.
        """
        info, found = self.images[index], ImageFindings()
        size = self._check_image(info['img_path'], found)
        path = info.get('seg_map_path')
        values = self._check_map(path, size, found)
        if path is None or values is None:
            return found
        try:
            labels = self._load_labels(info, size or values.shape)
        except (OSError, ValueError, IndexError) as error:
            found.problem('range', str(error))
            return found
        if labels is None:
            found.note('use', f'{path} has no labeled pixel and is skipped')
            found.ignored = _count(values)
            return found
        self._check_range(path, values, labels, found)
        return found

    def _check_image(self, path: str, found: Findings) -> tuple[int, int] | None:
        try:
            image = read_photo(path, self.dataset.backend_args)
        except (OSError, ValueError) as error:
            found.problem('file', f'image {path}: {error}')
            return None
        return image.shape[:2]

    def _check_map(
        self, path: str | None, size: tuple[int, int] | None, found: Findings
    ) -> np.ndarray | None:
        """Read the values of a file; None if they are no label map."""
        try:
            if path is None:
                raise ValueError('the dataset names no label map (seg_map_path)')
            values = read_label_map(path, self.dataset.backend_args)
        except LabelMapError as error:
            found.problem('packing', str(error))
            return None
        except (OSError, ValueError) as error:
            found.problem('file', f'label map {path}: {error}')
            return None
        if size is not None and values.shape != size:
            found.problem(
                'size', f'{path} is {values.shape} (height, width), its image {size}'
            )
            return None
        ours = any(isinstance(x, LoadSemanticAnnotations) for x in self.loaders)
        if values.max() > PNG_VALUES and not ours:
            found.problem(
                'range',
                f'{path} has the value {values.max()}, which mmseg.LoadAnnotations '
                'cuts to 8 bits; use LoadSemanticAnnotations',
            )
            return None
        return values

    def _load_labels(self, info: dict, size: tuple[int, ...]) -> np.ndarray | None:
        results = copy.deepcopy(info)  # transforms change lists in it
        results.update(ori_shape=tuple(size), img_shape=tuple(size))
        for loader in self.loaders:
            results = loader(results)
            if results is None:
                return None
        return results['gt_seg_map'].astype(np.int64)

    def _check_range(
        self,
        path: str,
        values: np.ndarray,
        labels: np.ndarray,
        found: ImageFindings,
    ) -> None:
        num_classes = len(self.names)
        is_class = (labels >= 0) & (labels < num_classes)
        wrong = np.unique(labels[~is_class & (labels != self.ignore_index)])
        if len(wrong):
            found.problem(
                'range',
                f'{path} has labels that are neither one of the {num_classes} classes '
                f'nor {self.ignore_index} (ignored): {shorten(wrong.tolist())}',
            )
        found.pixels = _count(labels[is_class])
        found.ignored = _count(values[~is_class])
        if not found.pixels:
            found.note('use', f'{path} has no labeled pixel')

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray, None]:
        """Read what is to be drawn.

        Returns:
            Image, RGB, ``[H, W, 3]``; labels, ``[H, W]``; None, for no segments.

        Raises:
            OSError: If a file is missing.
            ValueError: If a file is broken, or the map does not fit the image.
        """
        info = self.images[index]
        bgr = read_photo(info['img_path'], self.dataset.backend_args)
        image = np.ascontiguousarray(bgr[..., ::-1])
        labels = self._load_labels(info, image.shape[:2])
        if labels is None:
            labels = np.full(image.shape[:2], self.ignore_index)
        return image, labels, None

    def name_of(self, index: int) -> str:
        """Give the file name of an image."""
        return osp.basename(self.images[index]['img_path'])


def _count(values: np.ndarray) -> dict[int, int]:
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
