"""A class-balanced dataset of single-class crops."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset, Compose
from mmengine.dist import broadcast_object_list, get_rank
from mmengine.logging import print_log
from torch.utils.data import DataLoader, Dataset

from ..fileio import write_atomic
from ..registry import DATASETS


@DATASETS.register_module()
class ClassCrops(Dataset):
    """Every class of a semantic dataset equally often, one class per sample.

    For each class that occurs, images that show it are drawn once, with replacement,
    so the dataset has ``samples_per_class`` times that many samples. A sample is what
    the inner dataset gives for the image, and ``crop_label``, the class, for
    :class:`mmovseg.transforms.CropClass`.

    Every label map is read once to learn its classes, by the first process of a
    distributed run. A ``cache_file`` keeps the result; it is made anew when the config
    of the inner dataset or the list of its files changes.

    Args:
        dataset: Config of the inner dataset. Its pipeline loads labels
            (``gt_seg_map``) and no images.
        pipeline: Further transforms, such as ``SeedSample``, ``LoadImageFromFile``,
            ``CropClass`` and one that packs.
        samples_per_class: Samples of every class.
        seed: Of the draw.
        ignore_index: Value of unlabeled pixels.
        cache_file: JSON file to keep the classes of the images in; None keeps nothing.
        num_workers: Processes that read label maps; 0 means this one.

    Raises:
        ValueError: If a number is out of range or no image has a class.

    Source: the prompt learning of SimBaseline and DeOP (``SAMPLE_PER_CLASS``).
    """

    def __init__(
        self,
        dataset: dict,
        pipeline: Sequence[dict],
        *,
        samples_per_class: int = 32,
        seed: int = 0,
        ignore_index: int = 255,
        cache_file: str | None = None,
        num_workers: int = 0,
    ) -> None:
        if samples_per_class < 1:
            raise ValueError(
                f'samples_per_class must be at least 1, got {samples_per_class}.'
            )
        if num_workers < 0:
            raise ValueError(f'num_workers must be at least 0, got {num_workers}.')
        self.dataset: BaseDataset = DATASETS.build(dataset)
        self.pipeline = Compose(pipeline)
        self.ignore_index = ignore_index
        self.num_workers = num_workers
        classes: list = [None]
        if get_rank() == 0:
            classes = [self._read_classes(dataset, cache_file)]
        broadcast_object_list(classes)
        self.samples = draw_samples(classes[0], samples_per_class, seed)
        if not self.samples:
            raise ValueError(
                f'None of the {len(self.dataset)} images has a labeled pixel; do the '
                'label files fit the dataset, and the seen classes the labels?'
            )

    @property
    def metainfo(self) -> dict:
        """Return the meta information of the inner dataset."""
        return self.dataset.metainfo

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        """Return a sample, as the pipeline leaves it."""
        image, label = self.samples[index]
        results = self._load_labels(image)
        results['crop_label'] = label
        results['sample_idx'] = index  # an index of SeededSampler carries a seed
        return self.pipeline(results)

    def _load_labels(self, image: int) -> dict:
        info = self.dataset.get_data_info(image)
        results = self.dataset.pipeline(info)
        if results is None:
            raise ValueError(
                f'The inner pipeline skips {info.get("seg_map_path")}; switch that '
                'off (skip_empty), images without a class are not drawn anyway.'
            )
        return results

    def _read_classes(self, config: dict, cache_file: str | None) -> list[list[int]]:
        """Read the classes of every image from the cache or from its label map."""
        files = [
            self.dataset.get_data_info(i)['seg_map_path']
            for i in range(len(self.dataset))
        ]
        content = json.dumps([config, files], default=str)
        key = hashlib.sha256(content.encode()).hexdigest()
        if cache_file is not None:
            known = _read_cache(Path(cache_file))
            if known.get('key') == key:
                return known['classes']
        print_log(f'Reading the classes of {len(files)} label maps.', 'current')
        loader = DataLoader(
            _ClassesOfImages(self),
            batch_size=16,
            num_workers=self.num_workers,
            collate_fn=list,
        )
        classes = [found for batch in loader for found in batch]
        if cache_file is not None:
            _write_whole(Path(cache_file), {'key': key, 'classes': classes})
        return classes

    def find_classes(self, image: int) -> list[int]:
        """Return the classes that an image shows, ascending."""
        labels = self._load_labels(image)['gt_seg_map']
        found = np.flatnonzero(np.bincount(labels.ravel().astype(np.int64)))
        return [int(label) for label in found if label != self.ignore_index]


def _read_cache(path: Path) -> dict:
    """Read a cache file; one that is missing or damaged is no error."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        print_log(f'{path} is made anew: {error}', 'current', logging.WARNING)
        return {}
    return content if isinstance(content, dict) else {}


def _write_whole(path: Path, content: dict) -> None:
    """Write a JSON file whole or not at all; a read-only folder is no error."""
    try:
        write_atomic(path, json.dumps(content))
    except OSError as error:
        print_log(f'{path} cannot be written: {error}', 'current', logging.WARNING)


class _ClassesOfImages(Dataset):
    """The classes of every image, for worker processes."""

    def __init__(self, crops: ClassCrops) -> None:
        self.crops = crops

    def __len__(self) -> int:
        return len(self.crops.dataset)

    def __getitem__(self, index: int) -> list[int]:
        return self.crops.find_classes(index)


def draw_samples(
    classes: Sequence[Sequence[int]], samples_per_class: int, seed: int
) -> list[tuple[int, int]]:
    """Draw equally many images of every class, with replacement.

    Args:
        classes: The classes of every image.
        samples_per_class: How many to draw.
        seed: Of the draw. That of a class does not depend on other classes.

    Returns:
        Image and class of every sample, by class.
    """
    images: dict[int, list[int]] = {}
    for image, found in enumerate(classes):
        for label in found:
            images.setdefault(label, []).append(image)
    samples = []
    for label, candidates in sorted(images.items()):
        rng = np.random.default_rng([seed, label])
        chosen = rng.integers(len(candidates), size=samples_per_class)
        samples += [(candidates[index], label) for index in chosen]
    return samples
