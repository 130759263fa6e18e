"""Segment photos into the classes you name.

    python demo/image_demo.py
    python demo/image_demo.py demo/images --config eovseg_r50_coco \
        --checkpoint eovseg_r50.pth --classes "cat, cup; mug, spoon, stuff: table"

Without a photo it draws one, of shapes (--seed chooses it), into the folder photos of
--out-dir. Without a config it takes
the tiny model that comes with the package and knows such drawings only.

Three files per photo go to --out-dir: NAME_overlay.png (the drawing), NAME_labels.png
(the label map) and NAME.json (the segments: name, score, area, box x y w h).
A panoptic label map holds ids as COCO's do (id = R + 256 G + 65536 B, 0 is none), an
instance map the ids of the best segments, a semantic one the class indices.
--show-heatmaps adds NAME_heatmaps.png: where the model looked to classify its best
segment of each class that you choose (red: most). DeOP can tell, EOV-Seg cannot.

No file is overwritten but the results of the same photo. --out-dir must be another
folder than that of the photos.

Exit status: 0, or 1 if a photo could not be used (the others are done), or 2 if the
config, the checkpoint or the classes are wrong, or 3 if results cannot be written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmovseg.cli import predict

PACKAGED = 'tiny'  # model that needs no download


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    predict.add_arguments(parser, photos='*')
    parser.add_argument('--seed', type=int, default=20, help='of the drawing [20]')
    args = parser.parse_args(argv)
    if not 0 <= args.seed < 2**32:
        parser.error(f'--seed must be from 0 to 2**32 - 1, got {args.seed}.')
    predict.check(parser, args)
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from mmovseg.apis.images import write_png
from mmovseg.cli.runs.predict import print_results, segment_photos
from mmovseg.command_line import counted
from mmovseg.shapeworld.drawing import draw_numbered


def draw_photo(folder: str, seed: int) -> str:
    """Draw shapes as in the validation images of ShapeWorld; return the file."""
    path = Path(folder) / 'photos' / f'shapeworld_{seed}.png'
    if not path.exists():  # if it does, it is the same or the user's own
        write_png(path, draw_numbered(seed, 'val', 0).image)
    return str(path)


def show(args: argparse.Namespace, results: Mapping[str, list]) -> None:
    """Print a line per photo, or JSON."""
    if args.json:
        print_results(args, results)
        return
    done = [x for x in results['predictions'] if x is not None]
    for result in done:
        names = ', '.join(dict.fromkeys(x['name'] for x in result['segments']))
        number = counted(len(result['segments']), 'segment')
        print(f'{result["image"]}: {number} ({names})')
    photos = counted(len(done), 'photo')
    print(f'{photos} done; drawings, label maps, lists: {args.out}')


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if args.model is None:
        args.model = PACKAGED
        told = sys.stderr if args.json else sys.stdout
        print(f'The model is {args.model}, which comes with the package.', file=told)

    def find_photos() -> Sequence[str]:
        return args.photos or [draw_photo(args.out, args.seed)]

    return segment_photos(args, find_photos, show)


if __name__ == '__main__':
    sys.exit(main())
