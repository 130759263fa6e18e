"""Show how far a long job is: a bar in a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

LEAST_SECONDS, MOST_SECONDS = 5, 60  # between two lines
LEAST_SHARE = 0.05  # of the job, between two lines that are not MOST_SECONDS apart


class Progress:
    """Show how far a job is, on stderr.

    In a terminal this is a bar. Elsewhere, as in a log, there are plain lines without
    control characters: none from a job of a few seconds, at most one a minute from a
    very long one.

    Args:
        total: Steps of the job; 0 if that is not known.
        title: What the job is.
        unit: What a step is.
        disable: Show nothing.
    """

    def __init__(
        self, total: int, title: str, unit: str = 'it', *, disable: bool = False
    ) -> None:
        self.total, self.title, self.unit, self.done = total, title, unit, 0
        self._bar: tqdm | None = None
        if not disable and sys.stderr is not None and sys.stderr.isatty():
            self._bar = tqdm(total=total or None, desc=title, unit=unit)
        self._disable = disable or sys.stderr is None
        self._start = self._shown_at = time.monotonic()
        self._shown = 0  # steps done at the last line

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def update(self, steps: int = 1) -> None:
        """Tell that some more steps are done."""
        self.done += steps
        if self._bar is not None:
            self._bar.update(steps)
            return
        if self._disable:
            return
        now = time.monotonic()
        seconds, steps = now - self._shown_at, self.done - self._shown
        if seconds < LEAST_SECONDS:
            return
        is_last = self.done >= self.total > 0
        is_share = steps >= LEAST_SHARE * self.total > 0
        if is_last or is_share or seconds >= MOST_SECONDS:
            self._print_line(now)

    def close(self) -> None:
        """End the bar, or the lines: there is a last one if there was any."""
        if self._bar is not None:
            self._bar.close()
        elif self._shown != self.done and self._shown:
            self._print_line(time.monotonic())
        self._disable, self._bar = True, None

    def _print_line(self, now: float) -> None:
        share = f'{self.done}'
        if self.total:
            share = f'{self.done / self.total:.0%}, {self.done} of {self.total}'
        print(
            f'{self.title}: {share} ({self.unit}) after {now - self._start:.0f} s',
            file=sys.stderr,
            flush=True,
        )
        self._shown_at, self._shown = now, self.done
