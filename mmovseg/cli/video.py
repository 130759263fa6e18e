"""Segment videos; things keep their numbers from frame to frame.

    mmovseg video clip.mp4 --classes "cat; kitten, cup, stuff: table"

Writes two files per video to --out: NAME_overlay.mp4 (the drawing, without sound) and
NAME_tracks.json (COCO's format with an image per frame and a track_id per mask). Both
appear when all is done. Prints a table of the tracks. Needs PyAV:
pip install 'mmovseg[video]'.
"""

from __future__ import annotations

import argparse

from .options import (
    CLASSES,
    add_min_area,
    add_model_choice,
    check_limits,
    check_model_choice,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add('clips', nargs='+', metavar='VIDEO', help='files')
    add('-c', '--classes', '--vocabulary', help=f"{CLASSES} [the model's own]")
    add('-o', '--out', '--out-dir', default='outputs', help='folder [%(default)s]')
    add_model_choice(parser)
    add('--score-thr', type=float, help='least score [0]')
    add_min_area(parser)
    add(
        '--every',
        type=int,
        default=1,
        metavar='N',
        help='take each N-th frame only [1]',
    )
    add(
        '--memory',
        type=int,
        default=30,
        metavar='FRAMES',
        help='a thing that is not seen for longer gets a new number [%(default)s]',
    )
    add(
        '--no-embedding',
        action='store_true',
        help='compare where things are, not how they look',
    )
    add('--overwrite', action='store_true', help='replace results that are there')
    add('--json', action='store_true', help='print JSON instead of tables')


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the options together."""
    check_model_choice(parser, args)
    check_limits(parser, args)
    for name in ('every', 'memory'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1, got {getattr(args, name)}.')
