"""What one call may ask for; standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one call may ask for.

    Attributes:
        max_pixels: Of a photo.
        max_bytes: Of a file.
        max_names: Of a list of classes, all synonyms counted.
        timeout: Seconds that a call may wait and run.
        places: Calls that may wait or run at the same time.
    """

    max_pixels: int = 50_000_000
    max_bytes: int = 50_000_000
    max_names: int = 2000
    timeout: float = 120.0
    places: int = 16
