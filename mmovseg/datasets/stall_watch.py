"""Name the file that a worker of a data loader does not get done with."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.util
import os
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

SECONDS = 'MMOVSEG_STALL_SECONDS'
DEFAULT_SECONDS = 60.0


class _Workers:
    """What multiprocessing starts the watch for in every process that it forks."""


_WORKERS = _Workers()


def watch_workers() -> None:
    """Let every worker of a data loader warn when a sample takes a minute or more.

    A disk that does not answer, or a transform that never ends, stops a training run
    without a word: PyTorch waits for the batch. The worker then logs its number, its
    process, the file and the transform; again after twice the time. The environment
    variable ``MMOVSEG_STALL_SECONDS`` sets the time, 0 turns the watch off. It looks
    at MMEngine's datasets, and costs them nothing.

    Raises:
        ValueError: If the variable is no number of seconds.
    """
    _read_seconds()
    multiprocessing.util.register_after_fork(_WORKERS, _start)
    if '--multiprocessing-fork' in sys.orig_argv:  # started by the method "spawn"
        _start()


def _start(workers: Any = None) -> None:
    # Which process is a worker of a loader is known later; see _warn.
    seconds = _read_seconds()
    if seconds > 0:
        threading.Thread(target=_watch, args=(seconds,), daemon=True).start()


def _read_seconds() -> float:
    text = os.environ.get(SECONDS, DEFAULT_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float('inf'):
        raise ValueError(
            f'{SECONDS} is a number of seconds such as 60, or 0 for no warning, got '
            f'{text!r}.'
        )
    return seconds


def _watch(seconds: float) -> None:
    """Look at the main thread of a worker from time to time, without end."""
    main = threading.main_thread().ident
    assert main is not None
    current: FrameType | None = None
    since, limit = 0.0, seconds
    while True:
        time.sleep(seconds / 4)
        frames = list(_stack(sys._current_frames().get(main)))
        found = next((x for x in frames if x.f_code in _READING), None)
        if found is None or found is not current:
            current, since, limit = found, time.monotonic(), seconds
        elif time.monotonic() - since >= limit:
            _warn(found, frames, time.monotonic() - since)
            limit *= 2


_READING = {BaseDataset.prepare_data.__code__}


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames of a thread, innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _warn(reading: FrameType, frames: list[FrameType], seconds: float) -> None:
    info = get_worker_info()
    if info is None:
        return  # a process of something else
    sample = reading.f_locals.get('data_info') or {}
    path = sample.get('img_path', f'sample {reading.f_locals.get("idx")}')
    inner = frames[0]
    place = f'{inner.f_code.co_filename}:{inner.f_lineno}'
    inside = (x for x in frames[: frames.index(reading)] if 'self' in x.f_locals)
    transforms = [type(x.f_locals['self']).__name__ for x in inside]
    step = next((x for x in transforms[::-1] if x != 'Compose'), 'its annotation')
    print_log(
        f'Worker {info.id} of the data loader (process {os.getpid()}) has spent '
        f'{seconds:.0f} s on {path}, in {step} ({place}). Training waits for it.',
        logger='current',
        level=logging.WARNING,
    )
