"""Keep what was used last, up to a number of pixels."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar('T')


class Store(Generic[T]):
    """Values by their key; those that were used least recently make room.

    Args:
        count: Values to keep.
        pixels: Pixels of all values together. The newest value is always kept.
    """

    def __init__(self, count: int, pixels: int) -> None:
        self.count, self.pixels = count, pixels
        self._values: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> T | None:
        """Return a value, which is now the newest; None if it is not kept."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: str, value: T, pixels: int) -> None:
        """Keep a value; drop the oldest ones if there are too many."""
        with self._lock:
            self._values[key] = value, pixels
            self._values.move_to_end(key)
            while len(self._values) > 1 and (
                len(self._values) > self.count
                or sum(size for _, size in self._values.values()) > self.pixels
            ):
                self._values.popitem(last=False)
