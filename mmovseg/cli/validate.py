"""Check the data sets of a config before a training run.

    mmovseg validate configs/eovseg/eovseg_r50_coco.py --max-images 1000

Looks for missing and broken files, sizes that differ, ids that PNG and JSON do not
share, labels that are no class, and names and thing flags that the vocabulary does not
share; prints a histogram of the classes. Exits with 1 if there are problems.
docs/custom_dataset.md walks through a data set of one's own.
"""

from __future__ import annotations

import argparse
import os

from ..command_line import SPLITS, output_file
from .options import add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config, with or without a model')
    parser.add_argument(
        '--splits', nargs='+', choices=SPLITS, default=SPLITS, help='[all there are]'
    )
    parser.add_argument(
        '--max-images', type=int, help='look into so many, spread evenly [all]'
    )
    parser.add_argument(
        '--num-workers',
        type=int,
        default=min(8, os.cpu_count() or 1),
        help='processes; 0 means none beside this one [%(default)s]',
    )
    parser.add_argument('--show-dir', help='folder for pictures of labels')
    parser.add_argument(
        '--num-shown', type=int, default=4, help='pictures per dataset [%(default)s]'
    )
    parser.add_argument(
        '--out', type=output_file, metavar='FILE.json', help='write everything here'
    )
    add_json(parser)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override config values',
    )


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the options together."""
    for name in ('max_images', 'num_shown'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1.')
    if args.num_workers < 0:
        parser.error('--num-workers must be at least 0.')
