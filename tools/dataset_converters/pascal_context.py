"""Make the label maps of PASCAL Context: 59 and 459 classes.

Reads below ROOT (VOCdevkit/VOC2010):
    trainval/*.mat             labels of 10,103 photos
    ImageSets/Main/{train,val}.txt
or, for the 59 classes only:
    trainval_merged.json       labels and lists
Writes:
    SegmentationClassContext/*.png     0 background, 1..59
    SegmentationClassContext459/*.tif  0..458, 65535 none; from the .mat files only
    ImageSets/SegmentationContext/{train,val}.txt

With both sources the 59 classes come from the JSON, as official. Maps that exist and
are not empty are left as they are. --splits val makes those of val only.

Usage: python tools/dataset_converters/pascal_context.py data/VOCdevkit/VOC2010
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from mmovseg.command_line import exit_on_error, make_parser
from mmovseg.fileio import write_atomic

SPLITS = {'train': 4998, 'val': 5105}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    return make_parser(__doc__, 'the folder VOC2010', SPLITS).parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import numpy as np
from pycocotools import mask as rle

from mmovseg.datasets.preparation import (
    check_counts,
    is_done,
    read_json,
    read_mat,
    run,
    write_image,
)

NUM_CLASSES = 459
IGNORED = 65535
# The classes of the 59, by their number among the 459.
KEPT = (
    *(2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65),
    *(68, 72, 80, 85, 98, 104, 105, 113, 115, 144, 158, 159, 162, 187, 189),
    *(207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324, 326, 347, 349, 354),
    *(355, 360, 366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454, 458),
)
RANKS = np.zeros(65536, np.uint8)
RANKS[list(KEPT)] = np.arange(1, len(KEPT) + 1)


class Task(NamedTuple):
    """One photo: its sources and its maps, None for what is not to be used or made."""

    mat: Path | None
    segments: list[dict] | None  # of the JSON
    size: tuple[int, int]  # height and width, of the JSON
    map_59: Path | None
    map_459: Path | None


def paint(segments: list[dict], size: tuple[int, int]) -> np.ndarray:
    """Turn the segments of the JSON into numbers of classes, ``[H, W]`` uint16."""
    numbers = np.zeros(size, np.uint16)
    for segment in segments:
        numbers[rle.decode(segment['segmentation']).astype(bool)] = segment[
            'category_id'
        ]
    return numbers


def convert(task: Task) -> None:
    """Make the maps of one photo."""
    numbers = None
    if task.mat is not None:
        numbers = read_mat(task.mat, 'LabelMap')
        if int(numbers.max()) > NUM_CLASSES:
            raise ValueError(f'{task.mat} has class {numbers.max()}, of {NUM_CLASSES}.')
    if task.map_459 is not None:
        labels = numbers.astype(np.int32) - 1
        write_image(
            task.map_459, np.where(labels < 0, IGNORED, labels).astype(np.uint16)
        )
    if task.map_59 is not None:
        if task.segments is not None:
            numbers = paint(task.segments, task.size)
        write_image(task.map_59, RANKS[numbers])


def read_source(
    path: Path,
) -> tuple[dict[str, list[str]], dict[str, tuple[list[dict], tuple[int, int]]]]:
    """Read lists of both splits, and segments and size of every photo."""
    content = read_json(path)
    segments: dict[int | str, list[dict]] = defaultdict(list)
    for entry in content['annos_segmentation']:
        segments[entry['image_id']].append(entry)
    lists: dict[str, list[str]] = {split: [] for split in SPLITS}
    labels = {}
    for image in content['images']:
        stem = Path(image['file_name']).stem
        if image['phase'] not in lists:
            continue
        lists[image['phase']].append(stem)
        labels[stem] = (
            segments[image['image_id']],
            (image['height'], image['width']),
        )
    return {split: sorted(stems) for split, stems in lists.items()}, labels


def make_tasks(root: Path) -> dict[str, list[Task]]:
    """Find out what there is, and write the lists."""
    json_file, mats = root / 'trainval_merged.json', root / 'trainval'
    labels: dict[str, tuple[list[dict], tuple[int, int]]] = {}
    if json_file.is_file():
        lists, labels = read_source(json_file)
    elif mats.is_dir():
        files = {split: root / f'ImageSets/Main/{split}.txt' for split in SPLITS}
        lists = {split: file.read_text().split() for split, file in files.items()}
    else:
        raise FileNotFoundError(f'There is neither {mats} nor {json_file}.')
    tasks = {}
    for split, stems in lists.items():
        tasks[split] = [
            Task(
                mats / f'{stem}.mat' if mats.is_dir() else None,
                *labels.get(stem, (None, (0, 0))),
                map_59=root / 'SegmentationClassContext' / f'{stem}.png',
                map_459=root / 'SegmentationClassContext459' / f'{stem}.tif'
                if mats.is_dir()
                else None,
            )
            for stem in stems
        ]
    return tasks


@exit_on_error()
def main(argv: list[str] | None = None) -> None:
    """Convert both splits."""
    args = parse_args(argv)
    all_tasks = make_tasks(args.root)
    found = check_counts(
        {
            split: [
                task
                for task in all_tasks[split]
                if task.mat is None or task.mat.is_file()
            ]
            for split in args.splits
        },
        SPLITS,
        f'annotated photos below {args.root}',
        partial=args.partial,
    )
    for split, tasks in found.items():
        stems = ''.join(f'{task.map_59.stem}\n' for task in tasks)
        listing = args.root / f'ImageSets/SegmentationContext/{split}.txt'
        write_atomic(listing, stems.encode())
        todo = []
        for task in tasks:
            made = {
                key: None
                for key in ('map_59', 'map_459')
                if getattr(task, key) is not None and is_done(getattr(task, key))
            }
            task = task._replace(**made)
            if task.map_59 is not None or task.map_459 is not None:
                todo.append(task)
        print(f'{split}: {len(tasks) - len(todo)} done, {len(todo)} to do')
        run(convert, todo, args.workers)


if __name__ == '__main__':
    main()
