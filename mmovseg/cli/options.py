"""Options that several commands have."""

from __future__ import annotations

import argparse

from ..command_line import FAST_PARTS

MIN_AREA = 64  # pixels; what is smaller is a speck
CLASSES = (
    'names with "," between classes and ";" between names of one class; "stuff:" marks '
    'stuff. Or a packaged vocabulary (coco_panoptic), or a file'
)


def add_example_option(parser: argparse.ArgumentParser) -> None:
    """Add what shows a model classes by pictures."""
    parser.add_argument(
        '--examples',
        nargs='+',
        default=[],
        metavar='EXAMPLE',
        help='pictures of classes, which count with their names: NAME=IMAGE,MASK, or a '
        'folder with NAME/PHOTO.jpg and NAME/PHOTO_mask.png; a mask is not 0 on the '
        'object',
    )


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add what chooses a model and how it runs on photos."""
    add_model_choice(parser)
    add = parser.add_argument
    add('--task', choices=('panoptic', 'instance', 'semantic'), default='panoptic')
    add('--batch-size', type=int, default=1, metavar='N', help='photos per step [1]')


def add_model_choice(parser: argparse.ArgumentParser) -> None:
    """Add what chooses a model, and the device and mode that it runs in."""
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
    add('--device', help='[a GPU if there is one]')
    add(
        '--fast',
        nargs='*',
        metavar='PART',
        help='fast mode, whose results differ a little: the parts that the device '
        f'has, or some of {", ".join(FAST_PARTS)}',
    )
    add(
        '--keep-names',
        type=int,
        metavar='N',
        help='for long lists: let CLIP choose the N names that a photo may show, and '
        'leave the others out',
    )
    add(
        '--trust-checkpoint',
        action='store_true',
        help='load a checkpoint even if it can run code',
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for what programs read."""
    parser.add_argument(
        '--json', action='store_true', help='print JSON; all else goes to stderr'
    )


def add_min_area(parser: argparse.ArgumentParser) -> None:
    """Add the option that drops specks."""
    parser.add_argument(
        '--min-area',
        type=float,
        default=MIN_AREA,
        metavar='SIZE',
        help='drop results with fewer pixels, or below 1, with a smaller share of the '
        'photo; 0 keeps all [%(default)s]',
    )


def check_limits(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the option of :func:`add_min_area`, and the least score."""
    if getattr(args, 'score_thr', None) is not None:
        if not 0 <= args.score_thr <= 1:
            parser.error(f'--score-thr is from 0 to 1, got {args.score_thr}.')
        if args.score_thr and getattr(args, 'task', None) == 'semantic':
            parser.error('--score-thr: results of --task semantic have no scores.')
    if not 0 <= args.min_area < float('inf'):
        parser.error(
            '--min-area is a number of pixels, or below 1 a share of the photo, got '
            f'{args.min_area}; 0 keeps all.'
        )


def check_batch_size(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the options of :func:`add_model_options` together."""
    if args.batch_size < 1:
        parser.error(f'--batch-size must be at least 1, got {args.batch_size}.')
    check_model_choice(parser, args)


def check_model_choice(
    parser: argparse.ArgumentParser, args: argparse.Namespace
) -> None:
    """Check the options of :func:`add_model_choice` together."""
    if args.keep_names is not None and args.keep_names < 1:
        parser.error(f'--keep-names must be at least 1, got {args.keep_names}.')
    if args.checkpoint and not args.model:
        parser.error('--checkpoint needs the --model whose weights it has.')
