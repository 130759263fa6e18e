"""Segment photos into the classes you name.

    python demo/image_demo.py
    python demo/image_demo.py demo/images --config eovseg_r50_coco \
        --checkpoint eovseg_r50.pth --classes "cat, cup; mug, spoon, stuff: table"

Without a photo it draws one, of shapes (--seed chooses it), into the folder photos of
--out-dir. Without a config it takes
a tiny EOV-Seg that comes with the package and knows such drawings only.

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
from pathlib import Path

PACKAGED = 'eovseg_tiny_shapeworld', 'shapeworld'  # config and checkpoint


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('photos', nargs='*', metavar='PHOTO', help='files and folders')
    add(
        *('--classes', '--vocabulary'),
        help='names with "," between classes and ";" between synonyms; "stuff:" marks '
        'stuff. Or a packaged vocabulary (coco_panoptic), or a file. Default: the '
        "model's own",
    )
    add('--task', choices=('panoptic', 'instance', 'semantic'), default='panoptic')
    add('--out-dir', default='outputs', help='default: %(default)s')
    add('--config', help=f'file or packaged name; default: {PACKAGED[0]}')
    add(
        '--checkpoint',
        help='file or URL. Without one the packaged model uses its own, and those of '
        'a --config give random results',
    )
    add('--seed', type=int, default=20, help='of the drawing; default: %(default)s')
    add('--device', help='default: a GPU if there is one')
    add('--batch-size', type=int, default=1)
    add('--score-thr', type=float, help='default: 0.3 for instances, else 0')
    add(
        '--show-heatmaps',
        metavar='NAMES',
        help='classes with "," between them, such as "dog, grass"',
    )
    add(
        '--trust-checkpoint',
        action='store_true',
        help='load a checkpoint even if it can run code',
    )
    args = parser.parse_args(argv)
    if not 0 <= args.seed < 2**32:
        parser.error(f'--seed must be from 0 to 2**32 - 1, got {args.seed}.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from mmovseg.apis import ImageError, OutputError, OVSegInferencer
from mmovseg.apis.images import write_png
from mmovseg.apis.output_folder import open_folder
from mmovseg.datasets.shapeworld import draw_numbered


def draw_photo(folder: str, seed: int) -> str:
    """Draw shapes as in the validation images of ShapeWorld; return the file."""
    path = Path(folder) / 'photos' / f'shapeworld_{seed}.png'
    if not path.exists():  # if it does, it is the same or the user's own
        write_png(path, draw_numbered(seed, 'val', 0).image)
    return str(path)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    config, checkpoint = args.config or PACKAGED[0], args.checkpoint
    if args.config is None and checkpoint is None:
        checkpoint = PACKAGED[1]
        print(f'The model is {config}, with the packaged checkpoint.')
    try:
        with open_folder(args.out_dir, args.photos):
            pass  # found out before the model is loaded
        inferencer = OVSegInferencer(
            config,
            checkpoint,
            device=args.device,
            vocabulary=args.classes,
            trust_checkpoint=args.trust_checkpoint,
        )
        photos = args.photos or [draw_photo(args.out_dir, args.seed)]
    except OutputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 3
    except (ValueError, OSError, RuntimeError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    try:
        results = inferencer(
            photos,
            args.batch_size,
            task=args.task,
            out_dir=args.out_dir,
            score_thr=args.score_thr,
            show_heatmaps=args.show_heatmaps,
        )
    except ImageError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except OutputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 3
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    done = [x for x in results['predictions'] if x is not None]
    for result in done:
        names = ', '.join(dict.fromkeys(x['name'] for x in result['segments']))
        print(f'{result["image"]}: {len(result["segments"])} segments ({names})')
    print(f'{len(done)} photos done; drawings, label maps, lists: {args.out_dir}')
    for failed in results['errors']:
        print(f'error: {failed["message"]}', file=sys.stderr)
    return 1 if results['errors'] else 0


if __name__ == '__main__':
    sys.exit(main())
