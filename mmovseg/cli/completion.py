"""Print what completes commands and options in a shell.

    eval "$(mmovseg completion bash)"                     # in ~/.bashrc
    mmovseg completion zsh > "${fpath[1]}/_mmovseg"

Needs shtab: pip install 'mmovseg[completion]'.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('shell', choices=('bash', 'zsh', 'tcsh'))
