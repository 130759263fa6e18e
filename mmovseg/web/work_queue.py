"""One piece of work at a time, in the order of asking, with limits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

T = TypeVar('T')


class BusyError(RuntimeError):
    """As much work waits as there are places."""


class TooSlowError(RuntimeError):
    """The work was not done in time."""


class WorkQueue:
    """Run calls of several threads in one thread, one after the other.

    Args:
        places: Calls that may wait or run at the same time.
        timeout: Seconds that a call may wait and run.
    """

    def __init__(self, places: int, timeout: float) -> None:
        self.places, self.timeout = places, timeout
        self._executor = ThreadPoolExecutor(1, 'mmovseg-web')
        self._lock = threading.Lock()
        self._count = 0

    def run(self, function: Callable[[], T]) -> T:
        """Run a call when it is its turn; return what it returns.

        A call that was too slow may still run to its end; those behind it wait for
        that. One that has not started is dropped.

        Raises:
            BusyError: If there is no place.
            TooSlowError: If there is no result in time.
        """
        with self._lock:
            if self._count >= self.places:
                raise BusyError(
                    f'{self._count} photos are waiting already. Try again in a minute.'
                )
            self._count += 1
            future = self._executor.submit(function)
        future.add_done_callback(self._leave)
        try:
            return future.result(self.timeout)
        except FutureTimeoutError:
            if future.done():  # raised by the call itself
                raise
            future.cancel()
            raise TooSlowError(
                f'There was no result within {self.timeout:g} seconds. Take a smaller '
                'photo or fewer names, or start mmovseg serve with a larger --timeout.'
            ) from None

    def close(self) -> None:
        """Drop the calls that have not started."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _leave(self, _: Future) -> None:
        with self._lock:
            self._count -= 1
