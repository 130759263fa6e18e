"""Options that several commands have."""

from __future__ import annotations

import argparse

from ..command_line import FAST_PARTS

CLASSES = (
    'names with "," between classes and ";" between names of one class; "stuff:" marks '
    'stuff. Or a packaged vocabulary (coco_panoptic), or a file'
)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add what chooses a model and how it runs."""
    add = parser.add_argument
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
    add('--task', choices=('panoptic', 'instance', 'semantic'), default='panoptic')
    add('--device', help='[a GPU if there is one]')
    add('--batch-size', type=int, default=1, metavar='N', help='photos per step [1]')
    add(
        '--fast',
        nargs='*',
        metavar='PART',
        help='fast mode, whose results differ a little: the parts that the device '
        f'has, or some of {", ".join(FAST_PARTS)}',
    )
    add(
        '--trust-checkpoint',
        action='store_true',
        help='load a checkpoint even if it can run code',
    )


def check_batch_size(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the options of :func:`add_model_options` together."""
    if args.batch_size < 1:
        parser.error(f'--batch-size must be at least 1, got {args.batch_size}.')
    if args.checkpoint and not args.model:
        parser.error('--checkpoint needs the --model whose weights it has.')
