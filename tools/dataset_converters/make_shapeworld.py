"""Draw the ShapeWorld dataset: textures and shapes in COCO panoptic format.

Makes below --out: {train,val}/*.png and annotations/{panoptic,instances}_{train,val}
(JSON, and for panoptic a folder of PNGs). Training pictures show the 47 seen classes
alone, the others all 58. A dataset that is already there with the same settings is
left as it is; the same settings give the same pixels on every machine.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple


class Size(NamedTuple):
    """What --size stands for."""

    num_train: int
    num_val: int
    image_size: int


SIZES = {
    'tiny': Size(40, 10, 128),  # to see that something runs
    'small': Size(1000, 100, 128),  # the demos
    'full': Size(10000, 500, 192),
}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=Path('data/shapeworld'))
    parser.add_argument(
        '--size',
        choices=list(SIZES),
        default='small',
        help=', '.join(f'{k}: {v[0]} + {v[1]} of {v[2]} px' for k, v in SIZES.items()),
    )
    parser.add_argument('--num-train', type=int, help='pictures, if not by --size')
    parser.add_argument('--num-val', type=int, help='pictures, if not by --size')
    parser.add_argument('--image-size', type=int, help='pixels, at least 32')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--workers', type=int, default=min(os.cpu_count() or 1, 16), help='processes'
    )
    args = parser.parse_args(argv)
    for key, value in SIZES[args.size]._asdict().items():
        if getattr(args, key) is None:
            setattr(args, key, value)
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from mmovseg.command_line import exit_on_error
from mmovseg.datasets.shapeworld_files import write_split
from mmovseg.fileio import printable


def main(argv: list[str] | None = None) -> None:
    """Draw both splits."""
    args = parse_args(argv)
    for split in ('train', 'val'):
        with exit_on_error():
            drawn = write_split(
                args.out,
                split,
                getattr(args, f'num_{split}'),
                size=args.image_size,
                seed=args.seed,
                num_workers=args.workers,
            )
        state = 'drawn' if drawn else 'up to date'
        print(f'{printable(args.out / split)} is {state}.')


if __name__ == '__main__':
    main()
