"""List, show and compare lists of class names.

    mmovseg vocabulary
    mmovseg vocabulary coco_panoptic
    mmovseg vocabulary coco_panoptic ade20k_150 --config eovseg_r50_coco

Without a list it names the packaged ones; with one it shows its classes. Lists are
names of packaged ones, .txt files, or classes like "dog; puppy, stuff: grass". Of two,
that of a training and one to test on, it prints which classes of the second are seen in
the first, names that several classes share, and the pairs of classes that a text tower
tells apart worst. --examples adds pictures to the classes of a list, and --out saves it
with them. Without --config that is a tiny tower that knows the words of drawn
shapes alone; to others its similarities mean nothing.
"""

from __future__ import annotations

import argparse

from .options import add_example_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('lists', nargs='*', metavar='LIST', help='up to two lists')
    parser.add_argument(
        '--config',
        default='eovseg_tiny_shapeworld',  # needs no download
        help='whose text tower [%(default)s]',
    )
    parser.add_argument('--checkpoint', help="weights of the config's model")
    parser.add_argument(
        '--no-similarity', action='store_true', help='compare names only'
    )
    parser.add_argument(
        '--top', type=int, default=10, help='pairs and names to list [%(default)s]'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override config values',
    )
    parser.add_argument('--json', action='store_true', help='print JSON')
    add_example_option(parser)
    parser.add_argument(
        '-o',
        '--out',
        metavar='FILE',
        help='save the list: .txt, or .zip with its examples',
    )


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the options together."""
    if args.top < 1:
        parser.error('--top must be at least 1.')
    if (args.examples or args.out) and len(args.lists) != 1:
        parser.error(f'--examples and --out are for one list, got {len(args.lists)}.')
    if len(args.lists) > 2:
        parser.error(
            f'at most two lists, got {len(args.lists)}; put classes into quotes: '
            '"dog; puppy, stuff: grass".'
        )
