"""Find a command, read its options, run it."""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..command_line import BAD_INPUT, exit_on_error, messages_on_stderr
from ..fileio import did_you_mean, printable_lines
from ..version import __version__

COMMANDS = {
    'predict': 'segment photos into the classes you name',
    'label': 'label many photos, for other tools; can be stopped and split',
    'video': 'segment videos; things keep their numbers from frame to frame',
    'serve': 'open a page for your browser, and a REST interface',
    'explain': 'tell where the names of segments come from',
    'models': 'list the models, and those that are on this machine',
    'vocabulary': 'list, show and compare lists of class names',
    'train': 'train a model',
    'test': 'evaluate a model on a data set',
    'export': 'export a model to ONNX or torch.export',
    'validate': 'check the data sets of a config',
    'bench': 'time a model',
    'doctor': 'say what is installed, what is missing, and what installs it',
    'completion': 'print what completes commands and options in a shell',
}
EPILOG = """\
Exit status: 0, or 1 after an error, also if some photos could not be used; 2 if
options, names or a model cannot be used; 3 if results cannot be written. train, test,
export, validate, bench and vocabulary end with 1 after any error but one of options.
"""
_PACKAGE = Path(__file__).resolve().parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``mmovseg``; return the exit status.

    Args:
        argv: The words behind ``mmovseg``; None takes those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ('-h', '--help'):
        print(describe(), file=sys.stdout if words else sys.stderr)
        return 0 if words else BAD_INPUT
    if words[0] in ('-V', '--version'):
        print(f'mmovseg {__version__}')
        return 0
    name = words[0]
    if name not in COMMANDS:
        hint = did_you_mean(name, COMMANDS)
        commands = ', '.join(COMMANDS)
        print(
            printable_lines(
                f'error: there is no command {name!r}.{hint} Commands: {commands}.'
            ),
            file=sys.stderr,
        )
        return BAD_INPUT
    args = read_arguments(name, words[1:], prog=f'mmovseg {name}')
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning  # type: ignore[assignment]
        try:
            with exit_on_error():
                return run_command(name, args)
        except KeyboardInterrupt:
            print('\nStopped.', file=sys.stderr)
            return 130


def describe() -> str:
    """Return the help of ``mmovseg``."""
    width = max(map(len, COMMANDS))
    lines = [f'  {name:<{width}}  {text}' for name, text in COMMANDS.items()]
    return '\n'.join(
        [
            'usage: mmovseg COMMAND ...',
            '',
            'Open-vocabulary segmentation: photos and names in, segments out.',
            '',
            *lines,
            '',
            'mmovseg COMMAND --help explains a command; mmovseg --version.',
            EPILOG.rstrip(),
        ]
    )


def add_options(name: str, parser: argparse.ArgumentParser) -> Any:
    """Add the options of a command to a parser; return the module of the command."""
    module = importlib.import_module(f'.{name}', __package__)
    parser.description = module.__doc__
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    module.add_arguments(parser)
    return module


def read_arguments(
    name: str,
    argv: Sequence[str] | None = None,
    *,
    prog: str | None = None,
    description: str | None = None,
) -> argparse.Namespace:
    """Read and check the options of a command; ends the process if they are wrong.

    Args:
        name: The command.
        argv: Its words; None takes those of this process.
        prog: What the help calls it; None takes the name of the script.
        description: Instead of that of the command.
    """
    parser = argparse.ArgumentParser(prog=prog)
    module = add_options(name, parser)
    parser.description = description or parser.description
    args = parser.parse_args(argv)
    check = getattr(module, 'check', None)
    if check is not None:
        check(parser, args)
    return args


def run_command(name: str, args: argparse.Namespace) -> int:
    """Run a command with its options; return the exit status."""
    with messages_on_stderr(getattr(args, 'json', False)):  # of packages
        module = importlib.import_module(f'.runs.{name}', __package__)
    return module.run(args)


def _show_warning(message: Any, category: Any, filename: str, *_: Any) -> None:
    """Show warnings of this package as sentences, and no others."""
    if _PACKAGE in Path(filename).resolve().parents:
        print(f'warning: {printable_lines(str(message))}', file=sys.stderr)
