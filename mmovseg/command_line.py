"""What the tools share before anything slow is imported; standard library only."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from .fileio import check_writable, printable, printable_lines

# Exit statuses: an error, also if it is about some photos only; options, names or a
# model that cannot be used; results that cannot be written.
FAILED, BAD_INPUT, NOT_WRITTEN = 1, 2, 3
SPLITS = ('train', 'val', 'test')
# Parts of the fast mode (mmovseg.apis.fast_mode).
FAST_PARTS = ('bf16', 'fp16', 'resize', 'compile', 'graphs', 'buckets')


@contextmanager
def exit_on_error(*more: type[Exception]) -> Iterator[None]:
    """End with one line and status 1 for what the user can mend.

    Args:
        more: Exceptions besides ``OSError``, ``ValueError`` and ``ImportError``, which
            names a package that is missing.
    """
    kinds: tuple[type[Exception], ...] = (OSError, ValueError, ImportError, *more)
    try:
        yield
    except kinds as error:
        text = str(error).strip()
        if 'Traceback (most recent call last)' in text:  # of a data-loader worker
            text = text.splitlines()[-1].partition(': ')[2] or text
        sys.exit(f'error: {printable_lines(text)}')


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise SystemExit inside, so that what is there can tidy up.

    The handler of before is back afterwards. It must be: a process forked later would
    go on in its parent's place if the signal came at once.
    """

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def without_log() -> Iterator[None]:
    """Log nothing: for commands that print all errors themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def messages_on_stderr(wanted: bool = True) -> Iterator[None]:
    """Print on stderr what is printed meanwhile: stdout is for JSON alone.

    Args:
        wanted: Otherwise nothing changes.
    """
    if not wanted:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


def output_file(text: str) -> Path:
    """Read an option that names a file to write, and find out whether that works.

    Use it as ``type=`` of an argument. A run of hours then fails in its first second.
    """
    try:
        check_writable(text)
    except OSError as error:
        reason = printable(error.strerror or str(error))
        raise argparse.ArgumentTypeError(f'{printable(text)}: {reason}') from error
    return Path(text)


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


def counted(number: int, noun: str) -> str:
    """Write a number of things.

    Example:
        >>> counted(1, 'photo'), counted(2, 'photo')
        ('1 photo', '2 photos')
    """
    return f'{number} {noun}{"" if number == 1 else "s"}'


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows on stdout, the first one as the head, columns below each other."""
    rows = [[printable(x) for x in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f'{x:<{width}}' for x, width in zip(row, widths, strict=True))
        print('  '.join(cells).rstrip())


def pick_device(name: str | None = None) -> str:
    """Return a device by its name; without one a GPU if there is one, else the CPU."""
    if name is None:
        import torch  # which takes seconds; the options are known to be right

        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    return name


def make_parser(
    description: str | None, root: str, splits: Iterable[str] = ()
) -> argparse.ArgumentParser:
    """Make the command line that all converters of data sets have.

    Args:
        description: Docstring of the tool.
        root: What the folder of the data set is called in the help.
        splits: What the user may choose from; none means there is no choice.

    Returns:
        A parser for ``root``, ``--workers``, ``--partial`` and maybe ``--splits``.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', type=Path, help=root)
    parser.add_argument(
        '--workers',
        type=int,
        default=min(os.cpu_count() or 1, 16),
        help='processes (default: %(default)s)',
    )
    parser.add_argument(
        '--partial',
        action='store_true',
        help='convert what is there even if images of the full set are missing',
    )
    splits = list(splits)
    if splits:
        parser.add_argument(
            '--splits',
            nargs='+',
            choices=splits,
            default=splits,
            help='convert these only (default: all)',
        )
    return parser
