"""What a check of a dataset finds, and the sums over its images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...fileio import printable, printable_lines
from ...formats.findings import KINDS, Findings, shorten


@dataclass
class ImageFindings(Findings):
    """What one image shows.

    Attributes:
        pixels: Pixels by class.
        segments: Segments by class; empty for label maps.
        crowds: Segments by class that are crowds; among those of ``segments``.
        ignored: Pixels by the value in the file that is no class.
    """

    pixels: dict[int, int] = field(default_factory=dict)
    segments: dict[int, int] = field(default_factory=dict)
    crowds: dict[int, int] = field(default_factory=dict)
    ignored: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the lists of the base class."""
        super().__init__()


class Summary(Findings):
    """Findings of a dataset and the histogram of its classes.

    Args:
        title: Which dataset.
        names: Class names, K of them.
        is_thing: Thing flags, or None where there are none.
        num_images: Images of the dataset.

    Attributes:
        checked: Images summed up so far.
        images, segments, crowds, pixels: Per class, ``[K]`` int64.
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
        counts = np.zeros((4, len(names)), np.int64)
        self.images, self.segments, self.crowds, self.pixels = counts
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
        for label, count in image.crowds.items():
            self.crowds[label] += count
        self.ignored.update(image.ignored)

    def finish(self) -> None:
        """Note which classes no image shows, where all could be read."""
        is_partial = self.checked < self.num_images or 'file' in self.problems
        if is_partial or not self.checked:
            return
        if not self.pixels.any():
            self.problem(
                'use',
                f'none of the {self.checked} images shows a class: all pixels are void',
            )
        crowded = np.flatnonzero((self.crowds > 0) & (self.crowds == self.segments))
        if len(crowded):
            self.note(
                'use',
                f'{len(crowded)} classes have only crowds ("iscrowd"), which no metric '
                f'scores: {shorten([self.names[label] for label in crowded])}',
            )
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
        names = [printable(name) for name in self.names]
        total = int(self.pixels.sum()) + sum(self.ignored.values())
        width = min(max([len('class'), *map(len, names)]), 40)
        lines = [
            f'{"":>5} {"class":<{width}} {"":<5} {"images":>8} {"segments":>9} '
            f'{"pixels":>14} {"share":>8}'
        ]
        for label, name in enumerate(names):
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
                lines += [f'  {printable_lines(text)}' for text in texts[:limit]]
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


def _percent(count: int, total: int) -> str:
    return f'{100 * count / max(total, 1):>7.2f}%'
