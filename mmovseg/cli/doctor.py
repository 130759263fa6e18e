"""Say what is installed, what is missing for which feature, and what installs it.

Also the GPU, the folders that are written to, and the models that are here. Exits with
1 if something that every command needs is missing.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('--json', action='store_true', help='print JSON')
