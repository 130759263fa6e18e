"""What a check of a data set finds, and the sums over its images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

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


@dataclass
class ImageFindings(Findings):
    """What one image shows.

    Attributes:
        pixels: Pixels by class.
        segments: Segments by class; empty for label maps.
        ignored: Pixels by the value in the file that is no class.
    """

    pixels: dict[int, int] = field(default_factory=dict)
    segments: dict[int, int] = field(default_factory=dict)
    ignored: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the lists of the base class."""
        super().__init__()


class Summary(Findings):
    """Findings of a data set and the histogram of its classes.

    Args:
        title: Which data set.
        names: Class names, K of them.
        is_thing: Thing flags, or None where there are none.
        num_images: Images of the data set.

    Attributes:
        checked: Images summed up so far.
        images, segments, pixels: Per class, ``[K]`` int64.
        ignored: Pixels by the value in the file that is no class.
    """

    def __init__(
        self,
        title: str,
        names: Sequence[str],
        *,
        is_thing: Sequence[bool] | None,
        num_images: int,
    ) -> None:
        super().__init__()
        self.title = title
        self.names = tuple(names)
        self.is_thing = None if is_thing is None else tuple(is_thing)
        self.num_images = num_images
        self.checked = 0
        self.images, self.segments, self.pixels = np.zeros((3, len(names)), np.int64)
        self.ignored: Counter[int] = Counter()

    def add_image(self, image: ImageFindings) -> None:
        """Sum up one image."""
        self.add(image)
        self.checked += 1
        for label, count in image.pixels.items():
            self.pixels[label] += count
            self.images[label] += 1
        for label, count in image.segments.items():
            self.segments[label] += count
        self.ignored.update(image.ignored)

    def finish(self) -> None:
        """Note which classes no image shows, where all could be read."""
        is_partial = self.checked < self.num_images or 'file' in self.problems
        if is_partial or not self.checked:
            return
        absent = [n for n, c in zip(self.names, self.pixels, strict=True) if not c]
        if absent:
            self.note(
                'use',
                f'{len(absent)} of {len(self.names)} classes are in no image: '
                f'{shorten(absent)}',
            )

    def histogram(self) -> list[str]:
        """Lay out a table of the classes and of what is no class, as lines.

        Of more than 50 classes only those that occur have a line.
        """
        is_long = len(self.names) > 50
        total = int(self.pixels.sum()) + sum(self.ignored.values())
        width = min(max([len('class'), *map(len, self.names)]), 40)
        lines = [
            f'{"":>5} {"class":<{width}} {"":<5} {"images":>8} {"segments":>9} '
            f'{"pixels":>14} {"share":>8}'
        ]
        for label, name in enumerate(self.names):
            if not self.segments[label] and not self.pixels[label] and is_long:
                continue
            kind = ''
            if self.is_thing is not None:
                kind = 'thing' if self.is_thing[label] else 'stuff'
            segments = str(self.segments[label]) if self.is_thing is not None else ''
            lines.append(
                f'{label:>5} {name[:width]:<{width}} {kind:<5} '
                f'{self.images[label]:>8} {segments:>9} {self.pixels[label]:>14} '
                f'{_percent(self.pixels[label], total)}'
            )
        for value, count in sorted(self.ignored.items()):
            text = f'(value {value}: no class)'
            lines.append(
                f'{"":>5} {text:<{width + 25}} {count:>14} {_percent(count, total)}'
            )
        return lines

    def problem_lines(self, limit: int = 10) -> list[str]:
        """List problems and notes, at most ``limit`` of a kind."""
        lines = []
        for word, found in (('PROBLEM', self.problems), ('note', self.notes)):
            for kind, title in KINDS.items():
                texts = found.get(kind, [])
                if not texts:
                    continue
                lines.append(f'{word}: {title} ({len(texts)})')
                lines += [f'  {text}' for text in texts[:limit]]
                if len(texts) > limit:
                    lines.append(f'  ... and {len(texts) - limit} more')
        return lines

    def as_dict(self) -> dict:
        """Give everything as plain values, for JSON."""
        columns = zip(self.names, self.images, self.segments, self.pixels, strict=True)
        return {
            'title': self.title,
            'num_images': self.num_images,
            'checked': self.checked,
            'problems': self.problems,
            'notes': self.notes,
            'classes': [
                {
                    'name': name,
                    'isthing': None if self.is_thing is None else self.is_thing[label],
                    'images': int(images),
                    'segments': int(segments),
                    'pixels': int(pixels),
                }
                for label, (name, images, segments, pixels) in enumerate(columns)
            ],
            'ignored': {str(value): n for value, n in sorted(self.ignored.items())},
        }


def shorten(items: Sequence, limit: int = 8) -> str:
    """Write a list in one line, and leave out what is too long."""
    text = ', '.join(map(str, items[:limit]))
    return text + (f', ... ({len(items)} in all)' if len(items) > limit else '')


def _percent(count: int, total: int) -> str:
    return f'{100 * count / max(total, 1):>7.2f}%'
