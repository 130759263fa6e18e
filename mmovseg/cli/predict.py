"""Segment photos into the classes you name.

    mmovseg predict photo.jpg --classes "cat; kitten, cup, stuff: table"

Prints a table of the segments and writes three files per photo to --out:
NAME_overlay.png (the drawing), NAME_labels.png (the label map) and NAME.json (the
segments: name, score, area, box x y w h). No file is overwritten but the results of the
same photo. Without a model it takes the best one that is on this machine.
"""

from __future__ import annotations

import argparse

from .options import CLASSES, add_model_options, check_batch_size


def add_arguments(parser: argparse.ArgumentParser, photos: str = '+') -> None:
    """Add the options; ``photos`` says how many there must be, as ``nargs``."""
    add = parser.add_argument
    add('photos', nargs=photos, metavar='PHOTO', help='files, URLs and folders')
    add('-c', '--classes', '--vocabulary', help=f"{CLASSES} [the model's own]")
    add('-o', '--out', '--out-dir', default='outputs', help='folder [%(default)s]')
    add_model_options(parser)
    add('--score-thr', type=float, help='least score [0.3 for instances, else 0]')
    add(
        '--show-heatmaps',
        metavar='NAMES',
        help='classes with "," between them: draw where the model looked to classify '
        'them, as NAME_heatmaps.png (DeOP)',
    )
    add('--json', action='store_true', help='print JSON instead of tables')


check = check_batch_size
