"""Make the panoptic and instance files of Cityscapes (gtFine, 19 classes).

Reads below ROOT (cityscapes):
    gtFine/{train,val}/CITY/*_gtFine_instanceIds.png
Writes:
    gtFine/cityscapes_panoptic_{train,val}.json and the folders of PNGs of these names
    gtFine/cityscapes_instance_{train,val}.json

The panoptic files are those of createPanopticImgs of cityscapesscripts: category and
segment ids are label ids, a group of things without instances is a crowd. The instance
files are ours, for the AP of COCO. --splits val makes the files of val only. What
another tool made is not overwritten.

Usage: python tools/dataset_converters/cityscapes_panoptic.py data/cityscapes
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmovseg.command_line import exit_on_error, make_parser

SPLITS = {'train': 2975, 'val': 500}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    return make_parser(__doc__, 'the folder with gtFine', SPLITS).parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import numpy as np
from mmseg.datasets import CityscapesDataset

from mmovseg.datasets.panoptic_preparation import (
    convert_panoptic,
    describe_instances,
    describe_segments,
    write_panoptic_png,
)
from mmovseg.datasets.preparation import check_counts
from mmovseg.formats.image_file import read_image

STUFF = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23)
THINGS = (24, 25, 26, 27, 28, 31, 32, 33)
CATEGORIES = [
    {'id': label, 'name': name, 'color': list(color), 'isthing': int(label in THINGS)}
    for label, name, color in zip(
        (*STUFF, *THINGS),
        CityscapesDataset.METAINFO['classes'],
        CityscapesDataset.METAINFO['palette'],
        strict=True,
    )
]
SUFFIX = '_gtFine_instanceIds.png'


def combine(values: np.ndarray) -> tuple[np.ndarray, dict[int, tuple[int, bool]]]:
    """Drop the labels that are ignored in evaluation.

    Args:
        values: Label id, or label id * 1000 + instance, of every pixel, ``[H, W]``.

    Returns:
        Segment ids, ``[H, W]`` int32, and category and crowd flag of every id.
    """
    classes = {}
    for value in np.unique(values).tolist():
        label = value if value < 1000 else value // 1000
        if label in STUFF or label in THINGS:
            classes[value] = (label, label in THINGS and value < 1000)
    return np.where(np.isin(values, list(classes)), values, 0).astype(np.int32), classes


def convert(task: tuple[Path, Path]) -> tuple[dict, tuple[list, list]]:
    """Make one panoptic PNG; return the image and what it shows."""
    source, out = task
    values = read_image(str(source), flag='unchanged', backend='pillow')
    ids, classes = combine(values.astype(np.int32))
    stem = source.name.removesuffix(SUFFIX)
    write_panoptic_png(out, ids)
    segments = describe_segments(ids, classes)
    height, width = ids.shape
    image = {
        'id': stem,
        'file_name': f'{stem}_gtFine_leftImg8bit.png',  # official, of no file
        'png_name': out.name,
        'width': width,
        'height': height,
    }
    return image, (segments, describe_instances(ids, segments, THINGS))


@exit_on_error()
def main(argv: list[str] | None = None) -> None:
    """Convert all splits that are there."""
    args = parse_args(argv)
    root = args.root / 'gtFine'
    found = check_counts(
        {split: sorted((root / split).glob(f'*/*{SUFFIX}')) for split in args.splits},
        SPLITS,
        f'*{SUFFIX} below {root}',
        partial=args.partial,
    )
    for split, sources in found.items():
        panoptic = root / f'cityscapes_panoptic_{split}.json'
        pngs = [
            panoptic.with_suffix('') / path.name.replace(SUFFIX, '_gtFine_panoptic.png')
            for path in sources
        ]
        convert_panoptic(
            panoptic,
            root / f'cityscapes_instance_{split}.json',
            {png.name: (path, png) for path, png in zip(sources, pngs, strict=True)},
            convert,
            categories=(
                CATEGORIES,
                [category for category in CATEGORIES if category['isthing']],
            ),
            num_workers=args.workers,
        )


if __name__ == '__main__':
    main()
