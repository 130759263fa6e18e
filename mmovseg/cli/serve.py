"""Open a page for your browser: a photo and names in, segments and label files out.

    mmovseg serve
    mmovseg serve --model fcclip-convnext-l --classes "cat; kitten, cup, stuff: table"

The page is for this machine alone: nobody else can reach it. Photos are kept in memory
while the command runs, and sent nowhere. Scripts use the same server by
mmovseg.web.Client, or below http://127.0.0.1:PORT/api. Ctrl+C ends it.
"""

from __future__ import annotations

import argparse

from .options import (
    add_min_area,
    add_model_choice,
    check_limits,
    check_model_choice,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from ..web.limits import Limits

    limits = Limits()
    add = parser.add_argument
    add(
        '-p',
        '--port',
        type=int,
        default=7860,
        help='of this machine; 0 takes a free one [%(default)s]',
    )
    add(
        '-c',
        '--classes',
        default='',
        metavar='NAMES',
        help='names that the page has at the start, in the form of mmovseg predict',
    )
    add_model_choice(parser)
    add_min_area(parser)
    add(
        '--timeout',
        type=float,
        default=limits.timeout,
        metavar='SECONDS',
        help='limit for one photo, waiting included [%(default)g]',
    )
    add(
        '--max-megapixels',
        type=float,
        default=limits.max_pixels / 1e6,
        metavar='N',
        help='limit for the size of a photo [%(default)g]',
    )
    add(
        '--max-megabytes',
        type=float,
        default=limits.max_bytes / 1e6,
        metavar='N',
        help='limit for the file of a photo [%(default)g]',
    )
    add(
        '--max-names',
        type=int,
        default=limits.max_names,
        metavar='N',
        help='limit for the names of one call, synonyms counted [%(default)s]',
    )


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the options together."""
    if not 0 <= args.port <= 65535:
        parser.error(f'--port is from 0 to 65535, got {args.port}.')
    for name in ('timeout', 'max_megapixels', 'max_megabytes', 'max_names'):
        value = getattr(args, name)
        if not 0 < value < float('inf'):
            option = name.replace('_', '-')
            parser.error(f'--{option} must be more than 0, got {value:g}.')
    check_limits(parser, args)
    check_model_choice(parser, args)
