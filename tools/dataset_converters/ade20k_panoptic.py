"""Make the panoptic and instance files of ADE20K (150 classes, official numbering).

Reads below ROOT (ADEChallengeData2016):
    annotations/{training,validation}/*.png           scene parsing
    annotations_instance/{training,validation}/*.png  instance segmentation
Writes:
    ade20k_panoptic_{train,val}.json and the folders of PNGs of the same names
    ade20k_instance_{train,val}.json

Category ids are 0..149 in the order of scene parsing, as in the official files. Every
stuff class is one segment, instances lie over it, and pixels of things that belong to
no instance are void. --splits validation makes the files of validation only. What
another tool made is not overwritten.

Usage: python tools/dataset_converters/ade20k_panoptic.py data/ADEChallengeData2016
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmovseg.command_line import exit_on_error, make_parser
from mmovseg.vocabulary import Vocabulary

SPLITS = {'training': 20210, 'validation': 2000}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    return make_parser(__doc__, 'the folder ADEChallengeData2016', SPLITS).parse_args(
        argv
    )


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import numpy as np
from mmseg.datasets import ADE20KDataset

from mmovseg.datasets.panoptic_preparation import (
    convert_panoptic,
    describe_instances,
    describe_segments,
    write_panoptic_png,
)
from mmovseg.datasets.preparation import check_counts
from mmovseg.formats.image_file import read_image
from mmovseg.formats.panoptic_format import rgb_to_id

SHORT = {'training': 'train', 'validation': 'val'}
CLASSES = Vocabulary.load('plain/ade_150')
PALETTE = list(ADE20KDataset.METAINFO['palette'])
# Official: the usual color is that of "road" too, and colors of stuff are ids.
PALETTE[CLASSES.names.index('skyscraper')] = [140, 140, 200]
# Instance files number the things alone, from 1, in the same order.
THINGS = [label for label, thing in enumerate(CLASSES.is_thing) if thing]
PANOPTIC_CATEGORIES = [
    {
        'id': label,
        # The official file has a blank there.
        'name': 'window ' if name == 'window' else name,
        'isthing': int(thing),
        'color': list(PALETTE[label]),
    }
    for label, (name, thing) in enumerate(
        zip(CLASSES.names, CLASSES.is_thing, strict=True)
    )
]
SHORT_NAMES = Vocabulary.load('plain/ade_150_short').names
INSTANCE_CATEGORIES = [{'id': label, 'name': SHORT_NAMES[label]} for label in THINGS]
STUFF_IDS = {
    label: int(rgb_to_id(np.array(PALETTE[label], np.uint8)))
    for label in range(len(CLASSES))
    if label not in THINGS
}


def combine(
    semantic: np.ndarray, instances: np.ndarray
) -> tuple[np.ndarray, dict[int, tuple[int, bool]]]:
    """Paint stuff, then instances over it.

    Args:
        semantic: Class of every pixel from 1, ``[H, W]``; 0 is none.
        instances: Number of the thing from 1 and of the instance, ``[H, W, 2 or 3]``.

    Returns:
        Segment ids, ``[H, W]`` int32, and the class of every id.
    """
    ids = np.zeros(semantic.shape, np.int32)
    classes = {}
    for value in np.unique(semantic).tolist():
        if value - 1 in STUFF_IDS:
            ids[semantic == value] = STUFF_IDS[value - 1]
            classes[STUFF_IDS[value - 1]] = (value - 1, False)
    taken = set(STUFF_IDS.values())
    codes = instances[..., 0].astype(np.int32) * 256 + instances[..., 1]
    next_id = 1
    for code in np.unique(codes).tolist():
        if code < 256:
            continue
        while next_id in taken:
            next_id += 1
        ids[codes == code] = next_id
        classes[next_id] = (THINGS[code // 256 - 1], False)
        next_id += 1
    return ids, classes


def convert(task: tuple[Path, Path, Path]) -> tuple[dict, tuple[list, list]]:
    """Make one panoptic PNG; return the image and what it shows."""
    semantic_path, instance_path, out = task
    semantic = read_image(str(semantic_path), flag='unchanged', backend='pillow')
    things = read_image(str(instance_path), channel_order='rgb', backend='cv2')
    if semantic.shape != things.shape[:2]:
        raise ValueError(
            f'{semantic_path} is {semantic.shape} (height, width), {instance_path} is '
            f'{things.shape[:2]}.'
        )
    if int(things[..., 0].max()) > len(THINGS) or int(semantic.max()) > len(CLASSES):
        raise ValueError(
            f'Classes in {semantic_path} go up to {semantic.max()} and things in '
            f'{instance_path} to {things[..., 0].max()}; ADE20K has {len(CLASSES)} and '
            f'{len(THINGS)}. Are the files swapped?'
        )
    ids, classes = combine(semantic, things)
    write_panoptic_png(out, ids)
    segments = describe_segments(ids, classes)
    height, width = ids.shape
    image = {
        'id': out.stem,
        'file_name': f'{out.stem}.jpg',
        'png_name': out.name,
        'width': width,
        'height': height,
    }
    return image, (segments, describe_instances(ids, segments, THINGS))


@exit_on_error()
def main(argv: list[str] | None = None) -> None:
    """Convert all splits that are there."""
    args = parse_args(argv)
    semantic = args.root / 'annotations'
    things = args.root / 'annotations_instance'
    found = check_counts(
        {
            split: [
                path
                for path in sorted((semantic / split).glob('*.png'))
                if (things / split / path.name).is_file()
            ]
            for split in args.splits
        },
        SPLITS,
        f'images with a PNG in both {semantic} and {things} (a download of its own)',
        partial=args.partial,
    )
    for split, paths in found.items():
        panoptic = args.root / f'ade20k_panoptic_{SHORT[split]}.json'
        pngs = panoptic.with_suffix('')
        convert_panoptic(
            panoptic,
            args.root / f'ade20k_instance_{SHORT[split]}.json',
            {
                path.name: (path, things / split / path.name, pngs / path.name)
                for path in paths
            },
            convert,
            categories=(PANOPTIC_CATEGORIES, INSTANCE_CATEGORIES),
            num_workers=args.workers,
        )


if __name__ == '__main__':
    main()
