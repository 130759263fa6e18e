"""Write files whole or not at all; find the cache; hint at names and show them."""

from __future__ import annotations

import difflib
import hashlib
import os
import stat
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | Path, part: str | None = None) -> Iterator[Path]:
    """Give a temporary path whose file takes the place of another at the end.

    Readers see the old file or the complete new one. After an error the old one is
    left, and the temporary one is deleted. A link stays a link: the file that it points
    to is replaced. What is no regular file, such as ``/dev/stdout``, is written to
    directly.

    Args:
        path: Where the file goes. Missing folders are made.
        part: Name of the temporary file, for files with a single writer: it overwrites
            what a killed one has left. None takes a new name.

    Yields:
        Where to write it.

    Raises:
        OSError: If ``path`` is a folder or cannot be written.
    """
    path = Path(os.path.realpath(path))
    if not _is_replaceable(path):
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # A short name of its own: others may write the same file, and names have a limit.
    draft = path.with_name(part or f'.{uuid.uuid4().hex[:12]}.part')
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _is_replaceable(path: Path) -> bool:
    """Whether a path is, or may become, a regular file: no device and no pipe."""
    if not path.exists():
        return True
    if path.is_dir():
        raise IsADirectoryError(f'{path} is a folder, so no file can be written.')
    if not stat.S_ISREG(path.stat().st_mode):
        return False
    if not os.access(path, os.W_OK):
        raise PermissionError(f'{path} is write-protected.')
    return True


def check_writable(path: str | Path, inputs: Iterable[str | Path] = ()) -> None:
    """Find out now, not after hours, whether a file can be written.

    Missing folders are made.

    Args:
        path: Where the file will go.
        inputs: Files that are read for it.

    Raises:
        OSError: If ``path`` is a folder or cannot be written.
        ValueError: If ``path`` is one of the inputs, which would be lost.
    """
    real = Path(os.path.realpath(path))
    for source in inputs:
        if real.exists() and os.path.exists(source) and real.samefile(source):
            raise ValueError(f'{path} would overwrite the input {source}.')
    if _is_replaceable(real):
        write_atomic(probe := real.with_name(f'.{uuid.uuid4().hex[:12]}.part'), b'')
        probe.unlink()


def write_atomic(
    path: str | Path,
    data: bytes | str,
    *,
    sync: bool = False,
    part: str | None = None,
) -> None:
    """Write a file whole or not at all; see :func:`atomic_path`.

    Args:
        path: Where the file goes. Missing folders are made.
        data: The content. Text is written as UTF-8.
        sync: Wait until the disk has it, so that it survives a loss of power.
        part: Name of the temporary file; see :func:`atomic_path`.

    Raises:
        OSError: If ``path`` is a folder or cannot be written.
    """
    with atomic_path(path, part) as draft, open(draft, 'wb') as file:
        file.write(data.encode() if isinstance(data, str) else data)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def cache_folder(name: str) -> Path | None:
    """Return ``$MMOVSEG_CACHE/NAME``, or ``~/.cache/mmovseg/NAME`` if it is not set.

    Args:
        name: Of a folder in the cache.

    Returns:
        A folder that may not exist yet. None if the user has no home folder, as in a
        container with an arbitrary user id.
    """
    root = os.environ.get('MMOVSEG_CACHE') or os.path.join('~', '.cache', 'mmovseg')
    home = os.path.expanduser(Path(root).parts[0])  # of '~' or '~user'
    if root.startswith('~') and not os.path.isabs(home):
        return None
    return Path(os.path.expanduser(root)) / name


def hash_file(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def closest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known name that is most like a misspelt one.

    Args:
        name: As given.
        known: The names that exist.
        cutoff: Least likeness, from 0 to 1.

    Returns:
        A name, or None if none is like it.

    Example:
        >>> closest('pipeline_test', ['test_pipeline', 'data'])
        'test_pipeline'
    """
    found = difflib.get_close_matches(str(name), map(str, known), 1, cutoff)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return a hint that ends an error message, or nothing.

    Args:
        name: As given.
        known: The names that exist.
        cutoff: Least likeness, from 0 to 1.

    Example:
        >>> did_you_mean('pipeline_test', ['test_pipeline', 'data'])
        " Did you mean 'test_pipeline'?"
    """
    found = closest(name, known, cutoff=cutoff)
    return f' Did you mean {found!r}?' if found else ''


# They join and separate letters in names of people and places.
_JOINERS = '\u200c\u200d'


def printable(text: str | os.PathLike[str], mark: str | None = None) -> str:
    r"""Make a name safe to print in one line of a terminal, and to encode as UTF-8.

    Control characters, such as those that clear a screen, and bytes that are no text
    become visible.

    Args:
        text: A name from outside, such as that of a file.
        mark: What stands for such a character; None is its escape sequence.

    Example:
        >>> printable('a' + chr(27) + 'b')
        'a\\x1bb'
    """
    return ''.join(
        x
        if x.isprintable() or x in _JOINERS or unicodedata.category(x) == 'Zs'
        else mark
        if mark is not None
        else x.encode('unicode_escape').decode()
        for x in os.fspath(text)
    )


def printable_lines(text: str) -> str:
    r"""Make a message of several lines safe to print; see :func:`printable`.

    Example:
        >>> printable_lines('of a file:' + chr(10) + '  a' + chr(27) + 'b')
        'of a file:\n  a\\x1bb'
    """
    return '\n'.join(map(printable, text.split('\n')))
