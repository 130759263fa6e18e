"""End the worker processes of a program that is killed."""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import time
from typing import Any

_SET_PARENT_DEATH_SIGNAL = 1  # of Linux's prctl


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
    """Ask the system for a signal when the parent ends, and end then."""
    parent = multiprocessing.parent_process()
    if parent is None or not multiprocessing.current_process().daemon:
        return
    if sys.platform != 'linux' or os.getppid() != parent.pid:
        # Elsewhere, or started by a server of processes, or the parent has ended.
        threading.Thread(target=_wait_for_parent, daemon=True).start()
        return

    def check(number: int = 0, frame: Any = None) -> None:
        # Linux sends the signal also if only the thread ends that started this one.
        if os.getppid() != parent.pid:
            os._exit(1)

    # The last of the real-time signals, which nothing of ours or PyTorch's uses.
    signal.signal(signal.SIGRTMAX, check)
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGRTMAX), 0, 0, 0)
    check()  # the parent may have ended before


def _wait_for_parent() -> None:
    """End this process when the program that started it has ended."""
    while (parent := multiprocessing.parent_process()) is None:
        time.sleep(0.1)  # it is still being unpacked
    if multiprocessing.current_process().daemon:
        parent.join()
        os._exit(1)


guard_workers()
