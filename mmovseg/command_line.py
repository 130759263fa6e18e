"""What the tools share before anything slow is imported; standard library only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
