"""One training at a time in a folder."""

from __future__ import annotations

import datetime
import errno
import os
import socket
from pathlib import Path

from mmengine.logging import print_log

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class WorkDirError(RuntimeError):
    """A work folder that cannot be used; the message names it."""


NAME = '.train.lock'
# Locked folders of this process, with the open file of each.
_LOCKED: dict[str, int] = {}


def lock_work_dir(folder: str | Path) -> None:
    """Keep other processes from training in a folder, until this process ends.

    The lock is one of the operating system's on a process, so it ends with the process,
    however that ends, and forked workers do not have it. A run may lock a folder again.

    Raises:
        WorkDirError: If another process trains there; the message names it.
    """
    folder = os.path.realpath(folder)
    if fcntl is None or folder in _LOCKED:
        return
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, NAME)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        # Not flock, whose locks go to forked processes, and stay with those of them
        # that outlive a killed run.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(file, 200).decode(errors='replace').strip()
        os.close(file)
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise WorkDirError(
                f'{folder} is in use by another training ({owner or "unknown"}): wait '
                'until it ends, stop it, or choose another --work-dir.'
            ) from None
        print_log(
            f'{folder} cannot be locked ({error}): see to it yourself that no other '
            'training writes there.',
            logger='current',
        )
        return
    now = datetime.datetime.now().isoformat(' ', 'seconds')
    owner = f'process {os.getpid()} on {socket.gethostname()}, since {now}\n'
    os.ftruncate(file, 0)
    os.write(file, owner.encode())
    _LOCKED[folder] = file  # closing the file would end the lock


def unlock_work_dir(folder: str | Path) -> None:
    """Let other processes train in a folder; does nothing if it is not locked."""
    file = _LOCKED.pop(os.path.realpath(folder), None)
    if file is not None:
        os.close(file)
