"""Files inside of tar files, which are named as if a tar file were a folder.

``shards/a.tar/0001.jpg`` is the member ``0001.jpg`` of ``shards/a.tar``. Members are
read where they are; nothing is unpacked. Compressed tar files cannot be read so.
"""

from __future__ import annotations

import os
import tarfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from .fileio import printable

ENDING = '.tar'
KEPT = 16  # tar files whose members are remembered


class Member(NamedTuple):
    """Where the content of a member is in its tar file."""

    offset: int
    size: int


def list_members(path: str | Path) -> dict[str, Member]:
    """Return the regular files of a tar file by their names, in its order.

    A name that occurs twice is the last one, as when a tar file is unpacked.

    Args:
        path: A tar file that is not compressed.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no such file, is cut off, or a name leads out of it.
    """
    status = os.stat(path)
    return dict(_list_members(os.fspath(path), status.st_size, status.st_mtime_ns))


@lru_cache(KEPT)
def _list_members(path: str, size: int, time: int) -> dict[str, Member]:
    members: dict[str, Member] = {}
    name = printable(path)
    with open(path, 'rb') as file:
        try:
            with tarfile.open(fileobj=file, mode='r:') as tar:
                for info in tar:
                    if info.isreg():
                        key = _clean(info.name, name)
                        members.pop(key, None)
                        members[key] = Member(info.offset_data, info.size)
        except tarfile.TarError as error:
            raise ValueError(
                f'{name} cannot be read as a tar file: it is compressed, cut off or of '
                f'another kind ({error}).'
            ) from error
    return members


def _clean(member: str, name: str) -> str:
    """Return the name of a member without needless parts."""
    parts = [x for x in member.split('/') if x not in ('', '.')]
    if '..' in parts or member.startswith('/') or not parts or '\\' in member:
        raise ValueError(
            f'{name} has the member {printable(member)!r}, which leads out of it.'
        )
    return '/'.join(parts)


def split_path(path: str | Path) -> tuple[Path, str] | None:
    """Return the tar file and the member that a path means; None for other paths."""
    path = Path(path)
    for parent in path.parents:
        if parent.suffix.lower() == ENDING and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return None


def find_member(path: str | Path) -> tuple[Path, Member] | None:
    """Return the tar file of a path and the place of its member; None for other paths.

    Raises:
        FileNotFoundError: If the tar file has no such member.
        OSError: If the tar file cannot be read.
        ValueError: As :func:`list_members`.
    """
    found = split_path(path)
    if found is None:
        return None
    tar, name = found
    status = os.stat(tar)
    members = _list_members(os.fspath(tar), status.st_size, status.st_mtime_ns)
    if name not in members:
        raise FileNotFoundError(2, 'there is no such member', os.fspath(path))
    return tar, members[name]


def read_bytes(path: str | Path) -> bytes:
    """Read a file, or a member of a tar file.

    Raises:
        OSError: If it cannot be read.
        ValueError: As :func:`list_members`.
    """
    try:
        return Path(path).read_bytes()
    except NotADirectoryError:
        found = find_member(path)
        if found is None:
            raise
    tar, member = found
    with open(tar, 'rb') as file:
        file.seek(member.offset)
        return file.read(member.size)


def stamp(path: str | Path) -> list[int]:
    """Return size and time of change of a file; of a member, the time of its tar file.

    Raises:
        OSError: If it cannot be read.
        ValueError: As :func:`list_members`.
    """
    try:
        status = os.stat(path)
        return [status.st_size, status.st_mtime_ns]
    except NotADirectoryError:
        found = find_member(path)
        if found is None:
            raise
    tar, member = found
    return [member.size, os.stat(tar).st_mtime_ns]
