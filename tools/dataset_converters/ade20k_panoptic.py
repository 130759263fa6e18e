"""Make the panoptic and instance files of ADE20K (150 classes, official numbering).

Reads below ROOT (ADEChallengeData2016):
    annotations/{training,validation}/*.png           scene parsing
    annotations_instance/{training,validation}/*.png  instance segmentation
Writes:
    ade20k_panoptic_{train,val}.json and the folders of PNGs of the same names
    ade20k_instance_{train,val}.json

Category ids are 0..149 in the order of scene parsing, as in the official files. Every
stuff class is one segment, instances lie over it, and pixels of things that belong to
no instance are void.

Usage: python tools/dataset_converters/ade20k_panoptic.py data/ADEChallengeData2016
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmseg.datasets import ADE20KDataset

from mmovseg.datasets.image_file import read_image
from mmovseg.datasets.panoptic_format import id_to_rgb, rgb_to_id
from mmovseg.datasets.preparation import (
    check_count,
    convert_panoptic,
    describe_instances,
    describe_segments,
    make_parser,
    write_image,
)
from mmovseg.vocabulary import Vocabulary

SPLITS = {'train': ('training', 20210), 'val': ('validation', 2000)}
CLASSES = Vocabulary.load('plain/ade_150')
PALETTE = list(ADE20KDataset.METAINFO['palette'])
# Official: the usual colour is that of "road" too, and colours of stuff are ids.
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
    if int(instances[..., 0].max()) > len(THINGS) or int(semantic.max()) > len(CLASSES):
        raise ValueError(
            f'Classes go up to {semantic.max()} and things to '
            f'{instances[..., 0].max()}; ADE20K has {len(CLASSES)} and {len(THINGS)}. '
            'Are the files swapped?'
        )
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
    ids, classes = combine(semantic, things)
    write_image(out, id_to_rgb(ids))
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


def main(argv: list[str] | None = None) -> None:
    """Convert all splits that are there."""
    parser = make_parser(__doc__, 'the folder ADEChallengeData2016')
    args = parser.parse_args(argv)
    for split, (folder, expected) in SPLITS.items():
        semantic = sorted((args.root / 'annotations' / folder).glob('*.png'))
        things = args.root / 'annotations_instance' / folder
        paired = [path for path in semantic if (things / path.name).is_file()]
        if args.partial and not paired:
            continue
        check_count(
            f'images with both annotations ({folder})',
            len(paired),
            expected,
            partial=args.partial,
        )
        panoptic = args.root / f'ade20k_panoptic_{split}.json'
        pngs = panoptic.with_suffix('')
        convert_panoptic(
            panoptic,
            args.root / f'ade20k_instance_{split}.json',
            {
                path.name: (path, things / path.name, pngs / path.name)
                for path in paired
            },
            convert,
            categories=(PANOPTIC_CATEGORIES, INSTANCE_CATEGORIES),
            num_workers=args.workers,
        )


if __name__ == '__main__':
    main()
