"""ShapeWorld as files: COCO panoptic and instance format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..shapeworld.drawing import CLASSES, PALETTE, SPLITS, STUFF, draw_numbered
from .panoptic_preparation import (
    describe_instances,
    describe_segments,
    write_panoptic_png,
)
from .preparation import is_done, read_json, run, write_image, write_json

PICTURE = re.compile(r'\d{6,}\.png')
VERSION = 2  # raise when the same seed gives other pictures


class _Task(NamedTuple):
    """One picture to draw and write."""

    root: Path
    seed: int
    split: str
    number: int
    size: int


def make_categories(split: str) -> list[dict]:
    """Return the ``categories`` of a split: those that may be in it, in label order.

    The JSON of training pictures does not even name the unseen classes, so its labels
    are numbered as in the vocabulary ``shapeworld_seen``. Ids are the same everywhere.
    """
    _, names = SPLITS[split]
    return [
        {
            'id': CLASSES.index(name) + 1,
            'name': name,
            'isthing': int(name not in STUFF),
            'color': PALETTE[CLASSES.index(name)],
        }
        for name in names
    ]


def segment_id(index: int) -> int:
    """Give the n-th segment of an image a color that is easy to see."""
    return (index + 1) * 0x2D4F17 % 2**24  # odd factor: no two are equal


def _write_picture(task: _Task) -> tuple[list[dict], list[dict]]:
    """Draw one picture and write its two PNGs; return segments and instances."""
    sample = draw_numbered(task.seed, task.split, task.number, task.size)
    codes = [segment_id(index) for index in range(len(sample.labels))]
    ids = np.array(codes)[sample.segments]
    name = f'{task.number:06}.png'
    write_image(task.root / task.split / name, sample.image)
    pngs = task.root / 'annotations' / f'panoptic_{task.split}'
    write_panoptic_png(pngs / name, ids)
    classes = {
        code: (label + 1, False)
        for code, label in zip(codes, sample.labels, strict=True)
    }
    segments = describe_segments(ids, classes)
    things = range(len(STUFF) + 1, len(CLASSES) + 1)
    return segments, describe_instances(ids, segments, things)


def write_split(
    root: Path,
    split: str,
    num_images: int,
    *,
    size: int = 128,
    seed: int = 0,
    num_workers: int = 1,
) -> bool:
    """Draw a split below ``root``: pictures, panoptic PNGs and two JSON files.

    The files depend on the arguments but ``num_workers`` alone; the first pictures
    not even on how many follow. A split that is there with the same ones is kept.

    Args:
        root: Folder of the dataset.
        split: One of ``shapeworld.SPLITS``.
        num_images: Number of pictures.
        size: Height and width in pixels, at least 32.
        seed: Of the dataset.
        num_workers: Processes.

    Returns:
        Whether anything was drawn.

    Raises:
        ValueError: If a number is out of range, or files of something else are there.
    """
    if num_images < 0 or size < 32:
        raise ValueError(f'{num_images} pictures of {size} pixels: at least 0 of 32.')
    if not 0 <= seed < 2**32:
        raise ValueError(f'seed must be from 0 to 2**32 - 1, got {seed}.')
    info = {
        'description': f'ShapeWorld {split}',
        'version': VERSION,
        'seed': seed,
        'size': size,
        'num_images': num_images,
    }
    marker = root / 'annotations' / f'panoptic_{split}.json'
    folders = root / split, marker.with_suffix('')
    if _is_drawn(marker, info, folders):
        return False
    # It stays after a run that was killed, and tells that the pictures are ours.
    started = _start_marker(marker)
    started.parent.mkdir(parents=True, exist_ok=True)
    started.touch()
    marker.unlink(missing_ok=True)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob('*.png'):
            if PICTURE.fullmatch(old.name):
                old.unlink()
    tasks = [_Task(root, seed, split, number, size) for number in range(num_images)]
    _write_annotations(marker, info, split, run(_write_picture, tasks, num_workers))
    started.unlink()
    return True


def _is_drawn(marker: Path, info: dict, folders: tuple[Path, ...]) -> bool:
    """Tell whether a split is there; refuse to remove what is not ShapeWorld's."""
    if is_done(marker):
        found = _read_info(marker)
        if found.get('description') != info['description']:
            raise ValueError(f'{marker} is of another dataset: move it away.')
        return found == info
    pictures = (path for folder in folders for path in folder.glob('*.png'))
    instances = marker.with_name(marker.name.replace('panoptic', 'instances'))
    if instances.exists():
        ours = _read_info(instances).get('description') == info['description']
    else:
        ours = _start_marker(marker).exists()
    if ours:
        foreign = [path for path in pictures if not PICTURE.fullmatch(path.name)]
    else:
        foreign = [path for path in (instances, *pictures) if path.exists()]
    if foreign:
        raise ValueError(f'{foreign[0]} is of another dataset: move it away.')
    return False


def _read_info(path: Path) -> dict:
    content = read_json(path)
    return (isinstance(content, dict) and content.get('info')) or {}


def _start_marker(marker: Path) -> Path:
    """Return the file that is there while a split is drawn."""
    return marker.with_name(f'.{marker.stem}.started')


def _write_annotations(
    marker: Path, info: dict, split: str, described: list[tuple[list[dict], list[dict]]]
) -> None:
    """Write the instance JSON, then the panoptic one: the mark of a complete split."""
    size = info['size']
    images, panoptic = list[dict](), list[dict]()
    instances: list[dict] = []
    for number, (segments, things) in enumerate(described):
        file = {'file_name': f'{number:06}.png'}
        images.append({'id': number, **file, 'height': size, 'width': size})
        panoptic.append({'image_id': number, **file, 'segments_info': segments})
        for thing in things:
            # Ids from 1: pycocotools takes 0 for no match.
            instances.append({**thing, 'id': len(instances) + 1, 'image_id': number})
    common = {'info': info, 'images': images, 'categories': make_categories(split)}
    path = marker.with_name(f'instances_{split}.json')
    write_json(path, {**common, 'annotations': instances})
    write_json(marker, {**common, 'annotations': panoptic})
