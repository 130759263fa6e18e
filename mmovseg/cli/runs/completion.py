"""Print what completes commands and options in a shell."""

from __future__ import annotations

import argparse

from ...command_line import exit_on_error
from ..main import COMMANDS, add_options


def run(args: argparse.Namespace) -> int:
    """Print; return the exit status."""
    with exit_on_error():
        try:
            import shtab
        except ImportError as error:
            raise ValueError(
                "completion needs shtab: pip install 'mmovseg[completion]'."
            ) from error
    parser = argparse.ArgumentParser(prog='mmovseg')
    commands = parser.add_subparsers()
    for name, text in COMMANDS.items():
        add_options(name, commands.add_parser(name, help=text))
    print(shtab.complete(parser, args.shell))
    return 0
