"""Work next to the thread that gives it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class BackgroundWorker:
    """One thread that runs calls in order, next to the thread that gives them.

    Leaving the context waits for all calls, or drops those that have not started if it
    is left by an error.

    Args:
        limit: Calls that may wait.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.executor = ThreadPoolExecutor(1, 'mmovseg-finish')
        self.futures: deque[Future] = deque()

    def __enter__(self) -> BackgroundWorker:
        return self

    def run(self, function: Callable[..., None], *arguments: Any) -> None:
        """Run a call later; wait if too many do, and raise what an earlier one raised.

        Args:
            function: What to call.
            arguments: With what.
        """
        self.futures.append(self.executor.submit(function, *arguments))
        while self.futures and (
            self.futures[0].done() or len(self.futures) > self.limit
        ):
            self.futures.popleft().result()

    def wait(self) -> None:
        """Wait for all calls, and raise what one of them raised."""
        while self.futures:
            self.futures.popleft().result()

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self.executor.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self.wait()
