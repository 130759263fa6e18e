"""Draw the ShapeWorld data set: textures and coloured shapes in COCO panoptic format.

Makes below --out: {train,val}/*.png and annotations/{panoptic,instances}_{train,val}
(JSON, and for panoptic a folder of PNGs). A data set that is already there with the
same settings is left as it is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import mmcv
import numpy as np
from mmengine.utils import ProgressBar
from pycocotools import mask as rle

from mmovseg.datasets.panoptic_format import id_to_rgb
from mmovseg.datasets.shapeworld import (
    CLASSES,
    PALETTE,
    THINGS,
    ShapeSample,
    draw_sample,
)

VERSION = 1  # raise when the same seed gives other pictures
CATEGORIES = [
    {'id': label + 1, 'name': name, 'isthing': int(name in THINGS), 'color': colour}
    for label, (name, colour) in enumerate(zip(CLASSES, PALETTE, strict=True))
]
SPLITS = {'train': 0, 'val': 1}


def segment_id(index: int) -> int:
    """Give the n-th segment of an image a colour that is easy to see."""
    return (index + 1) * 0x2D4F17 % 2**24  # odd factor: no two are equal


def describe(sample: ShapeSample) -> tuple[list[dict], list[dict]]:
    """Describe the segments of a sample for the panoptic and the instance JSON."""
    segments, instances = [], []
    for index, label in enumerate(sample.labels):
        mask = sample.segments == index
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        info = {
            'category_id': CATEGORIES[label]['id'],
            'iscrowd': 0,
            'area': int(mask.sum()),
            'bbox': [
                int(xs[0]),
                int(ys[0]),
                int(xs[-1] - xs[0] + 1),
                int(ys[-1] - ys[0] + 1),
            ],
        }
        segments.append({'id': segment_id(index), **info})
        if CATEGORIES[label]['isthing']:
            code = rle.encode(np.asfortranarray(mask))
            code['counts'] = code['counts'].decode()
            instances.append({**info, 'segmentation': code})
    return segments, instances


def write_split(out: Path, split: str, info: dict) -> None:
    """Draw and write one split; the panoptic JSON comes last, as the seal."""
    pngs = out / 'annotations' / f'panoptic_{split}'
    for folder in (out / split, pngs):
        folder.mkdir(parents=True, exist_ok=True)
    seal = pngs.with_suffix('.json')
    if seal.exists():
        if json.loads(seal.read_text())['info'] == info:
            print(f'{out / split} is up to date.')
            return
        for old in (seal, *(out / split).glob('*.png'), *pngs.glob('*.png')):
            old.unlink()
    images, panoptic, instances = [], [], []
    progress = ProgressBar(info['num_images'])
    step = max(info['num_images'] // 50, 1)
    ids = np.array([segment_id(index) for index in range(16)])
    for number in range(info['num_images']):
        # A generator per picture: the first n do not depend on how many follow.
        rng = np.random.RandomState([info['seed'], SPLITS[split], number])
        sample = draw_sample(rng, info['size'])
        name = f'{number:06}.png'
        mmcv.imwrite(sample.image[..., ::-1], str(out / split / name))
        mmcv.imwrite(id_to_rgb(ids[sample.segments])[..., ::-1], str(pngs / name))
        images.append(
            {
                'id': number,
                'file_name': name,
                'height': info['size'],
                'width': info['size'],
            }
        )
        segments, things = describe(sample)
        panoptic.append(
            {'image_id': number, 'file_name': name, 'segments_info': segments}
        )
        for thing in things:
            instances.append({'id': len(instances) + 1, 'image_id': number, **thing})
        if len(images) % step == 0:
            progress.update(step)
    print()
    common = {'info': info, 'images': images, 'categories': CATEGORIES}
    for kind, entries in (('instances', instances), ('panoptic', panoptic)):
        path = out / 'annotations' / f'{kind}_{split}.json'
        path.write_text(json.dumps({**common, 'annotations': entries}))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('data/shapeworld'))
    parser.add_argument('--num-train', type=int, default=2000)
    parser.add_argument('--num-val', type=int, default=200)
    parser.add_argument('--size', type=int, default=128, help='pixels, at least 32')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Draw both splits."""
    args = parse_args(argv)
    for split in SPLITS:
        info = {
            'description': f'ShapeWorld {split}',
            'version': VERSION,
            'seed': args.seed,
            'size': args.size,
            'num_images': getattr(args, f'num_{split}'),
        }
        write_split(args.out, split, info)


if __name__ == '__main__':
    main()
