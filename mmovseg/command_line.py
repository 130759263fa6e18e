"""What the tools share before anything slow is imported; standard library only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .fileio import check_writable, printable


@contextmanager
def exit_on_error(*more: type[Exception]) -> Iterator[None]:
    """End with one line and status 1 for what the user can mend.

    Args:
        more: Exceptions beside ``OSError`` and ``ValueError``.
    """
    try:
        yield
    except (OSError, ValueError, *more) as error:
        sys.exit(f'error: {error}')


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
