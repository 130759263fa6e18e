"""End the worker processes of a program that is killed."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import select
import sys
import threading
import time
from typing import Any


class _Guard:
    """What multiprocessing runs a function for in every process that it forks."""


_GUARD = _Guard()


def guard_workers() -> None:
    """Let the daemonic processes of multiprocessing end with their parent.

    Data-loader workers and pools are such processes. Python ends them when a program
    ends, but not when it is killed, as by a machine out of memory: then PyTorch's
    workers wait for ever for somebody to take what they have loaded. Processes that are
    not daemonic may outlive their parent, and stay as they are.
    """
    multiprocessing.util.register_after_fork(_GUARD, _follow_parent)
    if '--multiprocessing-fork' in sys.orig_argv:  # started by the method "spawn"
        threading.Thread(target=_wait_for_parent, daemon=True).start()


def _follow_parent(guard: Any = None) -> None:
    """Start the thread that waits for the end of the parent, in a daemonic process."""
    if multiprocessing.parent_process() and multiprocessing.current_process().daemon:
        threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    """End this process when the program that started it has ended.

    A signal would not do: Python handles signals only in the main thread, which may be
    waiting in native code.
    """
    while (parent := multiprocessing.parent_process()) is None:
        time.sleep(0.1)  # it is still being unpacked
    if multiprocessing.current_process().daemon:
        _wait_for(parent)
        os._exit(1)


def _wait_for(parent: Any) -> None:
    """Wait until the process has ended."""
    if sys.platform == 'linux':
        # What "join" waits for stays open as long as any process that the parent forked
        # later, so ask the system.
        try:
            handle = os.pidfd_open(parent.pid)
        except ProcessLookupError:
            return
        except (AttributeError, OSError):
            pass  # Linux before 5.3, or a sandbox that forbids it
        else:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll()
            return
    parent.join()


guard_workers()
