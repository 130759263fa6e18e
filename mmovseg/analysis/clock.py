"""Time and memory of this process and its device."""

from __future__ import annotations

import ctypes
import gc
import time
from pathlib import Path

import torch


class Clock:
    """Seconds, and bytes, of a device.

    Args:
        device: A GPU, whose queue is awaited before time is read, or the CPU.
    """

    def __init__(self, device: str | torch.device) -> None:
        self.cuda = torch.device(device).type == 'cuda'
        self.device = device

    def seconds(self) -> float:
        """Return the time when everything asked for so far is done."""
        if self.cuda:
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def reset_memory(self) -> int | None:
        """Forget the peak of memory; return what is used now, None if unknown."""
        if self.cuda:
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            return torch.cuda.memory_allocated(self.device)
        try:
            # What building has freed would be used again, and not counted.
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)  # glibc
            Path('/proc/self/clear_refs').write_text('5')  # Linux: resets VmHWM
        except (AttributeError, OSError):
            return None
        return read_status('VmRSS')

    def peak_memory(self) -> int:
        """Return the largest number of bytes used since the reset."""
        if self.cuda:
            return torch.cuda.max_memory_allocated(self.device)
        return read_status('VmHWM')


def read_status(key: str) -> int:
    """Return a size of this process in bytes, from Linux.

    Raises:
        KeyError: If there is no such size.
    """
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{key}:'):
            return 1024 * int(line.split()[1])
    raise KeyError(f'/proc/self/status has no {key}.')
