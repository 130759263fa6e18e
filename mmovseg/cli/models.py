"""List the models, and those that are on this machine.

mmovseg models
mmovseg models fcclip-convnext-l
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('name', nargs='?', metavar='MODEL', help='show this one only')
    parser.add_argument('--json', action='store_true', help='print JSON')
