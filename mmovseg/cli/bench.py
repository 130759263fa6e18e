"""Time a model, part by part, alone or in turns with others: median, 95th percentile.

    mmovseg bench eovseg_r50_zs-ade20k
    mmovseg bench deop_vit-b16_cocostuff-156 \\
        --against simbaseline_vit-b16_cocostuff-156 --shape 512 640 --valid-masks 30
    mmovseg bench eovseg_r50_coco --throughput --fast bf16 resize
"""

from __future__ import annotations

import argparse

from ..command_line import FAST_PARTS, output_file
from .options import add_json

BATCH_SIZES = [1, 2, 4, 8, 16, 32]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or the name of a packaged one')
    parser.add_argument('--checkpoint', help='weights of CONFIG [random ones]')
    parser.add_argument(
        '--against',
        nargs='+',
        default=[],
        metavar='CONFIG',
        help='models that run in turns with the first, on the same input',
    )
    parser.add_argument(
        '--valid-masks',
        type=int,
        metavar='N',
        help='draw the masks of proposal networks: ellipses in N, nothing in the rest',
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=[640, 960],
        metavar=('H', 'W'),
        help='size of the padded input [640 960]',
    )
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument(
        '--fast',
        nargs='*',
        metavar='PART',
        help='time the models in the fast mode too: the parts that the device has, or '
        f'some of {", ".join(FAST_PARTS)} (docs/performance.md)',
    )
    parser.add_argument(
        '--throughput',
        nargs='*',
        type=int,
        metavar='N',
        help='images per second in batches of N [1 2 4 8 16 32], instead of the parts',
    )
    parser.add_argument('--vocabulary', help="test vocabulary [the config's]")
    parser.add_argument('--device', help='[cuda, or cpu without a GPU]')
    parser.add_argument('--threads', type=int, help='threads of the CPU [all]')
    parser.add_argument('--warmup', type=int, default=2, help='runs not counted [2]')
    parser.add_argument('--repeat', type=int, default=20, help='runs counted [20]')
    parser.add_argument(
        '--panoptic-only', action='store_true', help='no instances, no label map'
    )
    add_json(parser)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override config values',
    )
    parser.add_argument(
        '--photos',
        metavar='FOLDER',
        help='with --throughput: OVSegInferencer on these photos, reading included',
    )
    parser.add_argument(
        '--workers', type=int, default=4, help='threads that read --photos [4]'
    )
    parser.add_argument(
        '--out',
        type=output_file,
        help='write the seconds of all runs to this JSON file',
    )


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the options together."""
    if args.photos and args.throughput is None:
        parser.error('--photos needs --throughput.')
    if any(x < 32 or x % 32 for x in args.shape):
        parser.error(f'--shape must be positive multiples of 32, got {args.shape}.')
    if args.throughput == []:
        args.throughput = BATCH_SIZES
    sizes = [args.batch_size, *(args.throughput or ())]
    if args.repeat < 1 or args.warmup < 0 or min(sizes) < 1:
        parser.error('--repeat and batch sizes must be at least 1, --warmup 0.')
