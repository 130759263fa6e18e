"""Class names, synonyms and thing flags: the label space of a model, as data."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..fileio import did_you_mean

DATA_DIR = Path(__file__).parent / 'data'
# The longest official name has 45 characters. This only catches a file that is no
# vocabulary; whether a prompt fits into the text tower is for TextClassifier to say.
MAX_NAME_LENGTH = 200


@dataclass(frozen=True, repr=False)
class Vocabulary:
    """Classes in label order, each with its names and a thing flag.

    Immutable and hashable, so it can key a cache. The first name of a class is the
    one shown to people; the others only help to recognise it.

    Args:
        synonyms: Names per class. The order of classes is the label order.
        is_thing: True where the class is countable (a thing), False for stuff.

    Raises:
        TypeError: If a name is not a string, or a class is one.
        ValueError: If there is no class, the lengths differ, a name is blank, has
            blanks around it, holds control characters or is over-long, or two
            classes share their first name. Other names may occur in several
            classes: official lists have them.

    Example:
        >>> voc = Vocabulary.from_names(['dog; puppy', 'grass'], things=['dog'])
        >>> voc.names, voc.all_names, voc.class_ids
        (('dog', 'grass'), ('dog', 'puppy', 'grass'), (0, 0, 1))
        >>> voc
        Vocabulary(2 classes, 1 things, 3 names)
    """

    synonyms: tuple[tuple[str, ...], ...]
    is_thing: tuple[bool, ...]

    def __post_init__(self) -> None:
        """Make the fields hashable and check them."""
        synonyms = tuple(
            _check_names(names, f'class {index}')
            for index, names in enumerate(self.synonyms, 1)
        )
        object.__setattr__(self, 'synonyms', synonyms)
        object.__setattr__(self, 'is_thing', tuple(map(bool, self.is_thing)))
        if not synonyms:
            raise ValueError('A vocabulary needs at least one class, got none.')
        if len(synonyms) != len(self.is_thing):
            raise ValueError(
                f'{len(synonyms)} classes need as many thing flags, '
                f'got {len(self.is_thing)}.'
            )
        first: dict[str, int] = {}
        for index, (name, *_) in enumerate(synonyms, 1):
            if name in first:
                raise ValueError(
                    f'Classes {first[name]} and {index} are both called {name!r}; '
                    'merge them, or put another of their names first.'
                )
            first[name] = index

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.synonyms)

    def __repr__(self) -> str:
        """Summarise; the names of 1,203 classes do not belong into a log."""
        return (
            f'Vocabulary({len(self)} classes, {sum(self.is_thing)} things, '
            f'{len(self.all_names)} names)'
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The first name of every class, the one to show."""
        return tuple(names[0] for names in self.synonyms)

    @cached_property
    def all_names(self) -> tuple[str, ...]:
        """The names of all classes in one row, in class order."""
        return tuple(name for names in self.synonyms for name in names)

    @cached_property
    def class_ids(self) -> tuple[int, ...]:
        """The class of every entry of :attr:`all_names`."""
        return tuple(index for index, names in enumerate(self.synonyms) for _ in names)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the content that is the same in every process."""
        content = json.dumps([self.synonyms, self.is_thing]).encode()
        return hashlib.sha256(content).hexdigest()

    def seen_in(self, train: Vocabulary) -> tuple[bool, ...]:
        """Tell which classes were in another vocabulary.

        A class is seen if at least one of its names is identical, letter by letter,
        to any name of ``train``.

        Example:
            >>> test = Vocabulary.from_names(['puppy; dog', 'Dog', 'cat'])
            >>> test.seen_in(Vocabulary.from_names(['dog']))
            (True, False, False)

        Source: EOV-Seg, released code (``category_overlapping_mask``).
        """
        known = frozenset(train.all_names)
        return tuple(not known.isdisjoint(names) for names in self.synonyms)

    @staticmethod
    def available() -> tuple[str, ...]:
        """List the packaged vocabularies, the names :meth:`load` understands."""
        files = DATA_DIR.rglob('*.txt')
        return tuple(
            sorted(
                file.relative_to(DATA_DIR).with_suffix('').as_posix() for file in files
            )
        )

    @classmethod
    def load(cls, source: Vocabulary | str | Path | Sequence[str]) -> Vocabulary:
        """Return the vocabulary that ``source`` stands for.

        Args:
            source: A vocabulary (returned as it is), the name of a packaged one, a
                ``.txt`` file, or a list of classes as in :meth:`from_names`.

        Raises:
            ValueError: If the name is unknown, or the content is wrong; the file and
                the line are named.
            FileNotFoundError: If the file does not exist.

        Example:
            >>> Vocabulary.load('ade20k_150')
            Vocabulary(150 classes, 100 things, 403 names)
        """
        if isinstance(source, Vocabulary):
            return source
        if isinstance(source, Path):
            return cls._from_file(source)
        if isinstance(source, Mapping) or not isinstance(source, Iterable):
            raise TypeError(
                'A vocabulary is a name, a .txt file or a list of names, '
                f'got {source!r}.'
            )
        if not isinstance(source, str):
            return cls.from_names(source)
        if source.endswith('.txt'):
            return cls._from_file(Path(source))
        known = cls.available()
        if source in known:
            return cls._from_file(DATA_DIR / f'{source}.txt')
        raise ValueError(
            f'Unknown vocabulary {source!r}.{did_you_mean(source, known)} '
            f'Packaged ones: {", ".join(known)}. '
            "A path must end in '.txt'; Vocabulary.from_string() reads class names."
        )

    @classmethod
    def from_names(
        cls, classes: Iterable[str], things: Iterable[str] | None = None
    ) -> Vocabulary:
        """Build a vocabulary from one string per class.

        Args:
            classes: ``'dog; puppy'`` or ``'thing: dog; puppy'``: an optional kind,
                then names separated by ``;``. Commas belong to a name, because
                official names have them (``'road, route'``).
            things: First names of the classes that are things; the others are stuff.
                If None, the prefixes ``thing:`` and ``stuff:`` decide, and a class
                without one is stuff.

        Raises:
            ValueError: If the prefix is neither, or both ``things`` and prefixes are
                given, or ``things`` names a class that is not there, or as in the
                constructor.

        Example:
            >>> Vocabulary.from_names(['thing: dog; puppy', 'grass']).is_thing
            (True, False)
        """
        if isinstance(classes, str):
            raise TypeError(
                f'Expected a list with one string per class, got {classes!r}; '
                'Vocabulary.from_string() reads one string.'
            )
        parsed = [
            _parse_class(text, f'class {index}')
            for index, text in enumerate(classes, 1)
        ]
        if things is None:
            return cls._from_parsed(parsed, default=False)
        things = {things} if isinstance(things, str) else set(things)
        for kind, names in parsed:
            if kind is not None:
                raise ValueError(
                    f'Class {names[0]!r} has a prefix, and things are listed too; '
                    'give one of both.'
                )
        missing = sorted(things.difference(names[0] for _, names in parsed))
        if missing:
            raise ValueError(f'things names {missing}, which are no classes.')
        return cls._from_parsed(
            [(names[0] in things, names) for _, names in parsed], default=False
        )

    @classmethod
    def from_string(cls, text: str) -> Vocabulary:
        """Read a vocabulary from one string, as given on a command line.

        Args:
            text: Classes separated by ``,`` and names by ``;``, such as
                ``'person; man, dog, stuff: grass'``. Unlike in a file, a class
                without a prefix is a **thing**: people ask for objects. Also the
                name of a packaged vocabulary or the path of a ``.txt`` file.

        Raises:
            ValueError: As :meth:`load` and :meth:`from_names`.

        Example:
            >>> Vocabulary.from_string('person; man, dog, stuff: grass').is_thing
            (True, True, False)
        """
        text = text.strip()
        if text in cls.available() or text.endswith('.txt'):
            return cls.load(text)
        if not text:
            raise ValueError('A vocabulary needs at least one class, got none.')
        hint = did_you_mean(text, cls.available(), cutoff=0.7)
        is_one_word = not set(text) & set(',;: ')
        if is_one_word and (hint or set(text) & set('/_.')):
            raise ValueError(
                f'{text!r} is neither a packaged vocabulary nor a .txt file, and looks '
                f'like one.{hint} Packaged ones: {", ".join(cls.available())}.'
            )
        parsed = [
            _parse_class(part, f'class {index} of {text!r}')
            for index, part in enumerate(text.split(','), 1)
        ]
        return cls._from_parsed(parsed, default=True)

    @classmethod
    def _from_file(cls, path: Path) -> Vocabulary:
        """Read one class per line; ``#`` starts a comment line."""
        parsed = []
        # utf-8-sig: editors of some systems put a byte order mark first.
        content = path.read_bytes().removeprefix(b'\xef\xbb\xbf')
        for number, raw in enumerate(content.split(b'\n'), 1):
            where = f'{path}, line {number}'
            try:
                line = raw.decode('utf-8').strip()
            except UnicodeDecodeError as error:
                raise ValueError(
                    f'{where}: not UTF-8 ({error.reason}); save the file as UTF-8.'
                ) from error
            if line and not line.startswith('#'):
                parsed.append(_parse_class(line, where))
        try:
            return cls._from_parsed(parsed, default=False)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error

    @classmethod
    def _from_parsed(
        cls, parsed: list[tuple[bool | None, tuple[str, ...]]], *, default: bool
    ) -> Vocabulary:
        return cls(
            synonyms=tuple(names for _, names in parsed),
            is_thing=tuple(default if kind is None else kind for kind, _ in parsed),
        )


def _parse_class(text: str, where: str) -> tuple[bool | None, tuple[str, ...]]:
    """Split ``[kind:] name; name``; the kind is None where there is no prefix."""
    if not isinstance(text, str):
        raise TypeError(
            f'{where}: expected a string such as "dog; puppy", got {text!r}.'
        )
    prefix, colon, names = text.partition(':')
    kinds = {'thing': True, 'stuff': False}
    if not colon:
        kind, names = None, text
    elif prefix.strip() in kinds:
        kind = kinds[prefix.strip()]
    else:
        raise ValueError(
            f'{where}: unknown prefix {prefix.strip()!r} in {text.strip()!r}; '
            "write 'thing: name; name' or 'stuff: name; name'."
        )
    return kind, _check_names([name.strip() for name in names.split(';')], where)


def _check_names(names: Iterable[str], where: str) -> tuple[str, ...]:
    """Return the names of one class as a tuple, or raise with the place."""
    if isinstance(names, str):
        raise TypeError(
            f'{where}: expected a tuple of names, got the string {names!r}.'
        )
    names = tuple(names)
    if not names:
        raise ValueError(f'{where}: a class needs at least one name.')
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f'{where}: a name must be a string, got {name!r}.')
        if not name.strip():
            raise ValueError(
                f'{where}: blank name; remove the separator before or after it.'
            )
        if len(name) > MAX_NAME_LENGTH:
            raise ValueError(
                f'{where}: the name {name[:40]!r}... has {len(name)} characters, at '
                f'most {MAX_NAME_LENGTH} are allowed; separate synonyms by ";".'
            )
        # Cc control, Cs lone surrogate, Zl/Zp line and paragraph separators.
        bad = [c for c in name if unicodedata.category(c) in ('Cc', 'Cs', 'Zl', 'Zp')]
        if bad:
            raise ValueError(
                f'{where}: control character {bad[0]!r} in {name!r}; remove it.'
            )
        if name != name.strip():
            raise ValueError(f'{where}: blanks around the name {name!r}; strip them.')
    return names
