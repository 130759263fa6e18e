"""What readers and checks of a dataset find: problems and notes."""

from __future__ import annotations

from collections.abc import Sequence

# Kinds of problems, in the order in which they are printed.
KINDS = {
    'file': 'missing or broken files',
    'json': 'the JSON contradicts itself',
    'packing': 'PNGs that are not packed as R + 256 G + 65536 B',
    'ids': 'segment ids that PNG and JSON do not share',
    'size': 'images, labels or JSON of different sizes',
    'range': 'labels that are no class',
    'flags': 'thing flags',
    'names': 'class names and vocabulary',
    'use': 'data that teaches nothing',
}


class Findings:
    """Problems, which must be solved, and notes, which may be intended.

    Both are texts by kind, one of :data:`KINDS`.
    """

    def __init__(self) -> None:
        self.problems: dict[str, list[str]] = {}
        self.notes: dict[str, list[str]] = {}

    def problem(self, kind: str, text: str) -> None:
        """Add a problem."""
        self.problems.setdefault(_known(kind), []).append(text)

    def note(self, kind: str, text: str) -> None:
        """Add a note."""
        self.notes.setdefault(_known(kind), []).append(text)

    def add(self, other: Findings) -> None:
        """Take over the findings of another part."""
        for own, new in ((self.problems, other.problems), (self.notes, other.notes)):
            for kind, texts in new.items():
                own.setdefault(kind, []).extend(texts)

    @property
    def num_problems(self) -> int:
        """The number of problems of all kinds."""
        return sum(map(len, self.problems.values()))


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f'kind must be one of {list(KINDS)}, got {kind!r}.')
    return kind


def shorten(items: Sequence, limit: int = 8) -> str:
    """Write a list in one line, and leave out what is too long."""
    text = ', '.join(map(str, items[:limit]))
    return text + (f', ... ({len(items)} in all)' if len(items) > limit else '')
