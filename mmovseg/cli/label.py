"""Label many photos with a model, in files that other tools read.

    mmovseg label photos/ --classes "cat, cup, stuff: table" --format coco,yolo \\
        --out labels/

The work may be stopped and started again: photos that are done are skipped. What is
found is kept in OUT/records, so other formats and thresholds need no new work.
OUT/FORMAT has the labels, OUT/failed.json the photos that could not be used, and why.

--shard 3/16 does the third of sixteen parts; --shard auto asks Slurm or torchrun. Parts
may run at the same time, on machines that share OUT. The one that ends last writes the
labels. They are the same however the work was split.
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from ..labels.names import FORMATS

    add = parser.add_argument
    add(
        'photos',
        nargs='+',
        metavar='PHOTO',
        help='files; folders, with all below them; lists (.txt, a path per line); JSON '
        'files of COCO; tar files, such as the shards of a WebDataset',
    )
    add('-c', '--classes', '--vocabulary', required=True, help=CLASSES)
    add_example_option(parser)
    add('-o', '--out', required=True, metavar='FOLDER', help='folder of the labels')
    titles = ', '.join(f'{name} ({x.title})' for name, x in FORMATS.items())
    add(
        '-f',
        '--format',
        default='coco',
        metavar='NAMES',
        help=f'formats with "," between them [coco]: {titles}',
    )
    add_model_options(parser)
    add(
        '--score-thr',
        type=float,
        metavar='SCORE',
        help='least score of a label [0.3 for instances, else 0]',
    )
    add_min_area(parser)
    add(
        '--thresholds',
        default='',
        metavar='NAME=SCORE,...',
        help='least scores of single classes, such as "cat=0.6, cup=0.4"',
    )
    add(
        '--other',
        metavar='NAMES',
        help='more classes, in the form of --classes, that are found and dropped, such '
        'as "floor; ground, wall"',
    )
    add(
        '--root',
        metavar='FOLDER',
        help='the folder that names of photos in labels start from [the one given, or '
        'the one that holds all photos]',
    )
    add('--shard', default='1/1', metavar='N/ALL', help='part of the photos, or auto')
    add(
        '--workers',
        type=int,
        default=1,
        metavar='N',
        help='processes on this machine, each with a model, on its GPUs in turn [1]',
    )
    add(
        '--ray',
        action='store_true',
        help='let these be processes of Ray Data, on the cluster of RAY_ADDRESS or on '
        'this machine; one that dies is replaced',
    )
    add('--json', action='store_true', help='print JSON')


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the options together."""
    check_batch_size(parser, args)
    check_limits(parser, args)
    if args.workers < 1:
        parser.error(f'--workers must be at least 1, got {args.workers}.')
    args.format = [x.strip() for x in args.format.split(',') if x.strip()]
    if not args.format:
        parser.error('--format needs at least one name.')
    thresholds = {}
    for part in filter(str.strip, args.thresholds.split(',')):
        name, _, score = (x.strip() for x in part.rpartition('='))
        if name in thresholds:
            parser.error(f'--thresholds has {name!r} twice.')
        try:
            thresholds[name] = float(score)
        except ValueError:
            name = ''
        if not name:
            parser.error(f'--thresholds are NAME=SCORE, got {part.strip()!r}.')
    if thresholds and args.task == 'semantic':
        parser.error('--thresholds: results of --task semantic have no scores.')
    args.thresholds = thresholds
