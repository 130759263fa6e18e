"""Tell where the names of segments come from.

    mmovseg explain photo.jpg --classes "cat; kitten, cup, stuff: table"

For every segment it prints the nearest names, and what the trained classifier and CLIP
think of each: both become the result. Void is the probability that there is no object.
Writes a drawing per photo to --out: NAME_explained.png.
"""

from __future__ import annotations

import argparse

from .options import CLASSES, add_example_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add('photos', nargs='+', metavar='PHOTO', help='files, URLs and folders')
    add('-c', '--classes', '--vocabulary', help=f"{CLASSES} [the model's own]")
    add_example_option(parser)
    add('-o', '--out', '--out-dir', default='outputs', help='folder [%(default)s]')
    add(
        '--model',
        '--config',
        help='name of a model (mmovseg models), or of a config, or a config file '
        '[the best model that is on this machine]',
    )
    add(
        '--checkpoint',
        help='weights of the config: a file or a URL. Names of models have theirs',
    )
    add('--device', help='[a GPU if there is one]')
    add('--nearest', type=int, default=5, metavar='N', help='names per segment [5]')
    add(
        '--trust-checkpoint',
        action='store_true',
        help='load a checkpoint even if it can run code',
    )
    add('--json', action='store_true', help='print JSON instead of text')


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the options together."""
    if args.nearest < 1:
        parser.error(f'--nearest must be at least 1, got {args.nearest}.')
    if args.checkpoint and not args.model:
        parser.error('--checkpoint needs the --model whose weights it has.')
