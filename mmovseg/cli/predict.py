"""Segment photos into the classes you name.

    mmovseg predict photo.jpg --classes "cat; kitten, cup, stuff: table"

Prints a table of the segments and writes three files per photo to --out:
NAME_overlay.png (the drawing), NAME_labels.png (the label map) and NAME.json (the
segments: name, score, area, box x y w h). No file is overwritten but the results of the
same photo. Without a model it takes the best one that is on this machine.
"""

from __future__ import annotations

import argparse

from .options import (
    CLASSES,
    add_example_option,
    add_min_area,
    add_model_options,
    check_batch_size,
    check_limits,
)


def add_arguments(parser: argparse.ArgumentParser, photos: str = '+') -> None:
    """Add the options; ``photos`` says how many there must be, as ``nargs``."""
    add = parser.add_argument
    add('photos', nargs=photos, metavar='PHOTO', help='files, URLs and folders')
    add('-c', '--classes', '--vocabulary', help=f"{CLASSES} [the model's own]")
    add_example_option(parser)
    add('-o', '--out', '--out-dir', default='outputs', help='folder [%(default)s]')
    add_model_options(parser)
    add('--score-thr', type=float, help='least score [0.3 for instances, else 0]')
    add_min_area(parser)
    add(
        '--show-heatmaps',
        metavar='NAMES',
        help='classes with "," between them: draw where the model looked to classify '
        'them, as NAME_heatmaps.png (DeOP)',
    )
    add(
        '--tile',
        type=int,
        metavar='PIXELS',
        help='segment large photos by tiles of this side that overlap by a quarter',
    )
    add(
        '--geotiff',
        metavar='FILE.tif',
        help='with --tile: write the label map of one GeoTIFF there, with its place on '
        'Earth, and nothing else; the picture is never in memory as a whole',
    )
    add('--json', action='store_true', help='print JSON instead of tables')


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the options together."""
    check_batch_size(parser, args)
    check_limits(parser, args)
    if args.geotiff is not None and (args.tile is None or len(args.photos) != 1):
        parser.error(
            '--geotiff is for one photo and needs --tile, such as --tile 1024.'
        )
    if args.tile is None:
        return
    if args.task == 'instance' or args.show_heatmaps:
        parser.error(
            '--tile is for --task panoptic and semantic, without --show-heatmaps.'
        )
    if args.tile < 64:
        parser.error(f'--tile must be at least 64, got {args.tile}.')
