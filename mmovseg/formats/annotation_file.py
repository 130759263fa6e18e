"""What the readers of panoptic and of instance files share.

A reader never trusts a file: it collects every fault in a :class:`Findings`. Datasets
and metrics call ``load``, which refuses a file with faults. The validator calls
``read`` and lists them.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from mmengine import fileio
from mmengine.logging import print_log

from .findings import Findings, shorten

FileT = TypeVar('FileT', bound='AnnotationFile')
# Types of the values that entries need.
KEY, NUMBER = (int, str), (int, float)
CATEGORY = {'id': KEY, 'name': str}
PARTS = ('images', 'annotations', 'categories')


class AnnotationFile:
    """A JSON file in one of COCO's formats, indexed and checked.

    Attributes:
        path: The file.
        found: What is wrong with it.
        unlisted: Image ids of annotations whose image is not listed.
    """

    kind = 'JSON of annotations'

    def __init__(self, path: str, content: Any = None) -> None:
        self.path = path
        self.found = Findings()
        self.unlisted: list[Any] = []
        parts = content if isinstance(content, dict) else {}
        missing = [part for part in PARTS if not isinstance(parts.get(part), list)]
        if missing:
            self._report(f'{path} is no {self.kind}: it has no {missing} (lists)')
        self._index(*([] if x in missing else parts[x] for x in PARTS))

    def _index(self, images: list, annotations: list, categories: list) -> None:
        """Index the entries of the file."""
        raise NotImplementedError

    @classmethod
    def read(cls: type[FileT], path: str, backend_args: dict | None = None) -> FileT:
        """Read a file and collect what is wrong with it.

        Args:
            path: The file.
            backend_args: Storage backend, as in ``mmengine.fileio.load``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no JSON.
        """
        try:
            content = fileio.load(path, file_format='json', backend_args=backend_args)
        except ValueError as error:
            raise ValueError(f'{path} is cut off or no JSON: {error}') from error
        return cls(path, content)

    @classmethod
    def load(cls: type[FileT], path: str, backend_args: dict | None = None) -> FileT:
        """Read a file without faults.

        Args:
            path: The file.
            backend_args: Storage backend, as in ``mmengine.fileio.load``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is of another format or contradicts itself.
        """
        index = cls.read(path, backend_args)
        index.refuse_faults()
        return index

    def refuse_faults(self) -> None:
        """Raise an error if the file has faults, and warn of records that are left out.

        Raises:
            ValueError: With the first three.
        """
        problems = [text for texts in self.found.problems.values() for text in texts]
        if problems:
            more = len(problems) - 3
            raise ValueError(
                f'{self.path} cannot be used. '
                + '; '.join(problems[:3])
                + (f'; and {more} more problems' if more > 0 else '')
                + '. tools/validate_dataset.py lists all of them.'
            )
        for text in self.left_out():
            print_log(f'{self.path}: {text}', 'current', logging.WARNING)

    def left_out(self) -> list[str]:
        """Say which entries nothing refers to, so that nobody sees them."""
        if not self.unlisted:
            return []
        text = f'{len(self.unlisted)} annotations are of images that are not listed'
        return [f'{text}: {shorten(self.unlisted)}']

    def _report(self, text: str, items: Sequence = (), kind: str = 'json') -> None:
        """Add a problem; with items, ``text`` says what is wrong with so many."""
        if items:
            text = f'{len(items)} {text}: {shorten(items)}'
        self.found.problem(kind, text)

    def _report_any(self, text: str, items: Sequence, kind: str = 'json') -> None:
        if items:
            self._report(text, items, kind)

    def _keep_whole(
        self, what: str, entries: list, needed: Mapping[str, Any]
    ) -> list[dict]:
        """Report entries that lack something, and leave them out."""
        whole = [is_whole(entry, needed) for entry in entries]
        broken = [index for index, good in enumerate(whole) if not good]
        self._report_any(
            f'of {len(entries)} {what} lack one of {describe(needed)}; by position',
            broken,
        )
        return [entry for entry, good in zip(entries, whole, strict=True) if good]

    def _report_repeated(self, what: str, values: list) -> None:
        if len(set(values)) < len(values):
            repeated = [value for value, n in Counter(values).items() if n > 1]
            self._report_any(f'{what}s occur more than once', repeated)

    def _read_categories(self, categories: list) -> list[dict]:
        whole = self._keep_whole('categories', categories, CATEGORY)
        if not categories:
            self._report(
                f'{self.path} has no categories; a {self.kind} needs categories '
                'with different ids'
            )
        self._report_repeated('category id', [cat['id'] for cat in whole])
        return whole

    def _find_unlisted(self, image_ids: list, listed: Mapping) -> None:
        """Note annotations without image; ids of another type are a mistake."""
        self.unlisted = [x for x in dict.fromkeys(image_ids) if x not in listed]
        self._report_any(
            'image ids of annotations have another type than those of the images '
            '(a number and a string are different ids)',
            [repr(x) for x in self.unlisted if other_type(x) in listed],
        )


def other_type(key: int | str) -> int | str | None:
    """Give a number as a string and a string as a number, if it is one."""
    if isinstance(key, str):
        return int(key) if key.removeprefix('-').isdecimal() else None
    return str(key)


def hint_of_type(key: int | str, known: Collection) -> str:
    """Say in a message that only the type of an id is wrong, if that is so."""
    other = other_type(key)
    return f' (there is {other!r}, of another type)' if other in known else ''


def is_whole(entry: Any, needed: Mapping[str, Any]) -> bool:
    """Whether an entry has all values, of the right types; a bool is no number."""
    if not isinstance(entry, dict):
        return False
    for key, kind in needed.items():
        value = entry.get(key)
        if not isinstance(value, kind) or value == '' or isinstance(value, bool):
            return False
    return True


def is_flag(value: Any) -> bool:
    """Whether a value says yes or no: 0, 1, or a JSON boolean."""
    return isinstance(value, NUMBER) and value in (0, 1)


def is_vector(values: Any, length: int) -> bool:
    """Whether a value is a list of so many finite numbers."""
    if not isinstance(values, list) or len(values) != length:
        return False
    try:
        return abs(sum(values)) < math.inf  # neither with a NaN nor with an infinity
    except TypeError:
        return False


def describe(needed: Mapping[str, Any]) -> str:
    """Name keys and types of :func:`is_whole` for a message."""
    names = {KEY: 'int or str', NUMBER: 'number'}
    return ', '.join(
        f'"{key}" ({names.get(kind) or kind.__name__})' for key, kind in needed.items()
    )
