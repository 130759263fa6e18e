"""Evaluate a model on the test set of its config.

Writes all metrics, the speed and what was run to results.json in the work folder.
"""

from __future__ import annotations

import argparse
import os

from ..command_line import FAST_PARTS, output_file
from .options import add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint',
        help="file, a name of mmovseg.load, 'shapeworld': packaged, or 'pretrained': "
        'what the parts of a training-free model bring',
    )
    parser.add_argument('--work-dir', help='folder of logs [work_dirs/<config name>]')
    parser.add_argument(
        '--out', type=output_file, metavar='FILE.pkl', help='write all predictions here'
    )
    parser.add_argument('--show', action='store_true', help='show the results')
    parser.add_argument('--show-dir', help='folder for pictures of the results')
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read a checkpoint that holds more than weights; it can run any code',
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        metavar='N',
        help='images per step and process, of one aspect ratio where there are enough '
        "[the config's, in its order]",
    )
    parser.add_argument(
        '--fast',
        nargs='*',
        metavar='PART',
        help='fast mode, whose results differ a little: the parts that the device '
        f'has, or some of {", ".join(FAST_PARTS)} (docs/performance.md)',
    )
    parser.add_argument(
        '--plain',
        action='store_true',
        help='run every operation as its formula says: slower, with more memory, and '
        'nearest to the released code',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override config values, e.g. model.test_vocabulary=my_names.txt',
    )
    add_json(parser)
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # Passed by older versions of torch.distributed.launch.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the options together."""
    if args.out and args.out.suffix not in ('.pkl', '.pickle'):
        parser.error(f'--out must end with .pkl or .pickle, got {str(args.out)!r}.')
    if args.batch_size is not None and args.batch_size < 1:
        parser.error(f'--batch-size must be at least 1, got {args.batch_size}.')
    if args.plain and args.fast is not None:
        parser.error('--plain is the opposite of --fast: leave one of both out.')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
