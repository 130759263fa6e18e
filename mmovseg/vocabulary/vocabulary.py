"""Class names, synonyms and thing flags: the label space of a model, as data."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from ..fileio import did_you_mean, write_atomic
from .examples import Example, pack, read_examples, unpack
from .names import check_names, name_key
from .parsing import (
    FORM,
    MAX_CLASSES,
    Parsed,
    parse_class,
    parse_lines,
    read_classes,
    split_list,
)

DATA_DIR = Path(__file__).parent / 'data'
_FILE = re.compile(
    r'\.(txt|csv|tsv|json|jsonl|names|pkl|py|ya?ml|md|npz)$', re.IGNORECASE
)


@dataclass(frozen=True, repr=False)
class Vocabulary:
    """Classes in label order, each with its names and a thing flag.

    Immutable and hashable, so it can key a cache. The first name of a class is the
    one shown to people; the others only help to recognize it. Names are shown as
    typed, and compared as the tokenizer of CLIP sees them: ``Dog`` is ``dog``. See
    :func:`~mmovseg.vocabulary.names.name_key`.

    Args:
        synonyms: Names per class. The order of classes is the label order.
        is_thing: True where the class is countable (a thing), False for stuff.
        examples: Pictures per class, or nothing; see :meth:`add_examples`.

    Raises:
        TypeError: If a name is not a string, a class is one, or a flag is no bool.
        ValueError: If there is no class, the lengths differ, a name is blank, has
            blanks around it, has no letter or digit, holds control characters,
            invisible ones or markup, or is over-long, or two classes share their
            first name. Other names may occur in several classes: official lists have
            them.

    Example:
        >>> voc = Vocabulary.from_names(['dog; puppy', 'grass'], things=['dog'])
        >>> voc.names, voc.all_names, voc.class_ids
        (('dog', 'grass'), ('dog', 'puppy', 'grass'), (0, 0, 1))
        >>> voc
        Vocabulary(2 classes, 1 things, 3 names)
    """

    synonyms: tuple[tuple[str, ...], ...]
    is_thing: tuple[bool, ...]
    examples: tuple[tuple[Example, ...], ...] = ()

    def __post_init__(self) -> None:
        """Make the fields hashable and check them."""
        synonyms = tuple(
            check_names(names, f'class {index}')
            for index, names in enumerate(self.synonyms, 1)
        )
        object.__setattr__(self, 'synonyms', synonyms)
        object.__setattr__(self, 'is_thing', tuple(map(_to_flag, self.is_thing)))
        if not synonyms:
            raise ValueError('A vocabulary needs at least one class, got none.')
        if len(synonyms) != len(self.is_thing):
            raise ValueError(
                f'{len(synonyms)} classes need as many thing flags, '
                f'got {len(self.is_thing)}.'
            )
        examples = tuple(tuple(group) for group in self.examples)
        object.__setattr__(self, 'examples', examples if any(examples) else ())
        if self.examples and len(self.examples) != len(synonyms):
            raise ValueError(
                f'{len(synonyms)} classes need as many groups of examples, got '
                f'{len(self.examples)}.'
            )
        first: dict[str, int] = {}
        for index, (name, *_) in enumerate(synonyms, 1):
            other = first.setdefault(name_key(name), index)
            if other == index:
                continue
            known = synonyms[other - 1][0]
            called = 'both called'
            if name != known:
                called = f'called {known!r} and'
            why = '' if name == known else ', which CLIP reads alike'
            raise ValueError(
                f'Classes {other} and {index} are {called} {name!r}{why}; merge them, '
                'or put another of their names first.'
            )

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.synonyms)

    def __repr__(self) -> str:
        """Summarize; the names of 1,203 classes do not belong into a log."""
        shown = f'{len(self)} classes, {sum(self.is_thing)} things'
        shown += f', {len(self.all_names)} names'
        if self.examples:
            shown += f', {sum(self.num_examples)} examples'
        return f'Vocabulary({shown})'

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
    def keys(self) -> tuple[str, ...]:
        """Every entry of :attr:`all_names` as the tokenizer sees it."""
        return tuple(map(name_key, self.all_names))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the content that is the same in every process."""
        digest = hashlib.sha256(json.dumps([self.synonyms, self.is_thing]).encode())
        for label, group in enumerate(self.examples):
            for part in (x for example in group for x in example):
                digest.update(f'{label} {len(part)};'.encode() + part)
        return digest.hexdigest()

    @cached_property
    def num_examples(self) -> tuple[int, ...]:
        """How many examples each class has."""
        return tuple(map(len, self.examples or ((),) * len(self)))

    def find(self, name: str) -> int:
        """Return the label of a class by any of its names.

        Raises:
            TypeError: If the name is no string.
            ValueError: If there is no such class, or several have the name.

        Example:
            >>> Vocabulary.from_names(['dog; puppy', 'cat']).find('Puppy')
            0
        """
        if not isinstance(name, str):
            raise TypeError(f'The name of a class is a string, got {name!r}.')
        found = {
            label
            for key, label in zip(self.keys, self.class_ids, strict=True)
            if key == name_key(name)
        }
        for label in found:
            if name_key(self.names[label]) == name_key(name):
                return label
        if len(found) != 1:
            hint = did_you_mean(name, self.all_names)
            why = f'several classes are called {name!r}: give the first name of one'
            if not found:
                why = f'there is no class {name!r}'
            raise ValueError(f'{why[0].upper()}{why[1:]}.{hint}')
        return found.pop()

    def add_examples(
        self, name: str, examples: Iterable[tuple[Any, Any]]
    ) -> Vocabulary:
        """Return a vocabulary where a class has more examples; this one stays.

        A model mixes what it sees in them with the names of the class. See
        docs/guide/examples.md.

        Args:
            name: One of the names of the class.
            examples: Pairs of an image and a mask of what it shows; see
                :func:`~mmovseg.vocabulary.examples.read_example`.

        Raises:
            TypeError: If the name is no string, the examples are no list of pairs, or
                a part is of another type.
            ValueError: If there is no such class or no example, an image cannot be
                read, or a mask is empty or of another size than its image.

        Example:
            >>> import numpy as np
            >>> image, mask = np.zeros((8, 8, 3), np.uint8), np.eye(8, dtype=bool)
            >>> names = Vocabulary.from_names(['snow', 'sky'])
            >>> names.add_examples('snow', [(image, mask)]).num_examples
            (1, 0)
        """
        label = self.find(name)
        groups = list(self.examples or ((),) * len(self))
        groups[label] = (*groups[label], *read_examples(examples, name))
        return replace(self, examples=tuple(groups))

    def __add__(self, other: Vocabulary) -> Vocabulary:
        """Return the classes of this vocabulary, and those of another behind them."""
        if not isinstance(other, Vocabulary):
            return NotImplemented
        examples = [x.examples or ((),) * len(x) for x in (self, other)]
        return Vocabulary(
            self.synonyms + other.synonyms,
            self.is_thing + other.is_thing,
            examples[0] + examples[1],
        )

    def save(self, path: str | Path) -> Path:
        """Write a file that :meth:`load` reads.

        Args:
            path: Ends with ``.txt``, or with ``.zip`` if there are examples, which are
                in the file. It is replaced.

        Returns:
            The path.

        Raises:
            ValueError: If the path ends otherwise, or a name cannot be written.
            OSError: If the file cannot be written.
        """
        path = Path(path)
        ending = '.zip' if self.examples else '.txt'
        if path.suffix.lower() not in ('.zip', ending):
            raise ValueError(
                f'{path} must end with {ending!r}: '
                + ('examples need more than text.' if self.examples else 'it is text.')
            )
        lines = '\n'.join(self.to_lines()) + '\n'
        for line, names in zip(self.to_lines(), self.synonyms, strict=True):
            if line.startswith('#') or parse_class(line, 'It')[1] != names:
                raise ValueError(f'Class {names[0]!r} cannot be written: {line!r}.')
        if path.suffix.lower() == '.zip':
            write_atomic(path, pack(lines, self.examples))
        else:
            write_atomic(path, lines)
        return path

    def to_lines(self) -> list[str]:
        """Return a line per class, as :meth:`from_names` reads them.

        Example:
            >>> Vocabulary.from_string('dog; puppy, stuff: grass').to_lines()
            ['thing: dog; puppy', 'stuff: grass']
        """
        pairs = zip(self.synonyms, self.is_thing, strict=True)
        return [
            f'{("stuff", "thing")[thing]}: {"; ".join(names)}' for names, thing in pairs
        ]

    def seen_in(self, train: Vocabulary) -> tuple[bool, ...]:
        """Tell which classes were in another vocabulary.

        A class is seen if the tokenizer sees at least one of its names as it sees any
        name of ``train``.

        Example:
            >>> test = Vocabulary.from_names(['puppy; Dog', 'Hot  dog', 'cat'])
            >>> test.seen_in(Vocabulary.from_names(['dog', 'hot dog']))
            (True, True, False)

        Source: EOV-Seg, released code (``category_overlapping_mask``).
        Deviates: the released code compares letter by letter.
        """
        known = frozenset(train.keys)
        return tuple(
            not known.isdisjoint(map(name_key, names)) for names in self.synonyms
        )

    def shared_names(self) -> dict[str, list[int]]:
        """List the names that stand for several classes, which then score alike.

        Example:
            >>> Vocabulary.from_names(['dog', 'kennel; Dog']).shared_names()
            {'dog': [0, 1]}
        """
        owners: dict[str, dict[int, None]] = {}
        shown: dict[str, str] = {}
        for name, label in zip(self.all_names, self.class_ids, strict=True):
            owners.setdefault(name_key(name), {})[label] = None
            shown.setdefault(name_key(name), name)
        return {shown[k]: list(x) for k, x in owners.items() if len(x) > 1}

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
                ``.txt`` file, a ``.zip`` file of :meth:`save`, or a list of classes as
                in :meth:`from_names`.

        Raises:
            ValueError: If the name is unknown, the file is no text file, or the
                content is wrong; the file and the line are named.
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
        if source.lower().endswith(('.txt', '.zip')):
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
                They are compared as the tokenizer sees them. If None, the prefixes
                ``thing:`` and ``stuff:`` decide, and a class without one is stuff.

        Raises:
            TypeError: If the classes are one string, or a set.
            ValueError: If the prefix is neither, or both ``things`` and prefixes are
                given, or ``things`` names a class that is not there, or as in the
                constructor.

        Example:
            >>> Vocabulary.from_names(['thing: dog; puppy', 'grass']).is_thing
            (True, False)
        """
        return cls._from_names(classes, things, default=False)

    @classmethod
    def _from_names(
        cls,
        classes: Iterable[str],
        things: Iterable[str] | None = None,
        *,
        default: bool | None,
    ) -> Vocabulary:
        if isinstance(classes, str):
            raise TypeError(
                f'Expected a list with one string per class, got {classes!r}; '
                'Vocabulary.from_string() reads one string.'
            )
        if isinstance(classes, (set, frozenset)):
            raise TypeError(
                'A set has no order, and classes are numbered: give a list, such as '
                'sorted(names).'
            )
        parsed = [
            parse_class(text, f'class {index}')
            for index, text in enumerate(islice(classes, MAX_CLASSES + 1), 1)
        ]
        if len(parsed) > MAX_CLASSES:
            raise ValueError(f'A vocabulary has at most {MAX_CLASSES} classes.')
        if things is None:
            return cls._from_parsed(parsed, default=default)
        things = {things} if isinstance(things, str) else set(things)
        for kind, names in parsed:
            if kind is not None:
                raise ValueError(
                    f'Class {names[0]!r} has a prefix, and things are listed too; '
                    'give one of both.'
                )
        first = {name_key(names[0]) for _, names in parsed}
        missing = sorted(name for name in things if name_key(name) not in first)
        if missing:
            raise ValueError(f'things names {missing}, which are no classes.')
        keys = set(map(name_key, things))
        return cls._from_parsed(
            [(name_key(names[0]) in keys, names) for _, names in parsed],
            default=False,
        )

    @classmethod
    def from_user(cls, source: Vocabulary | str | Path | Sequence[str]) -> Vocabulary:
        """Read the classes that somebody asks a model for.

        As :meth:`from_string` and :meth:`load`. In a list and in a file of the user
        too, a class without a prefix is a **thing**, unless one has ``thing:``.

        Example:
            >>> Vocabulary.from_user(['dog; puppy', 'stuff: grass']).is_thing
            (True, False)
        """
        if isinstance(source, str):
            return cls.from_string(source)
        if isinstance(source, Path):
            return cls._from_file(source, default=None)
        known = isinstance(source, (Vocabulary, Mapping))
        if known or not isinstance(source, Iterable):
            return cls.load(source)
        return cls._from_names(source, default=None)

    @classmethod
    def from_string(cls, text: str) -> Vocabulary:
        """Read a vocabulary from one string, as given on a command line.

        Args:
            text: Classes separated by ``,`` and names by ``;``, such as
                ``'person; man, dog, stuff: grass'``. A class without a prefix is a
                **thing**: people ask for objects. Also the name of a packaged
                vocabulary, or the path of a ``.txt`` file as in :meth:`from_user`.
                :func:`~mmovseg.vocabulary.parsing.split_list` says which notations
                of other tools are read.

        Raises:
            ValueError: As :meth:`load` and :meth:`from_names`.

        Example:
            >>> Vocabulary.from_string('person; man, dog, stuff: grass').is_thing
            (True, True, False)
        """
        if not isinstance(text, str):
            raise TypeError(f'Expected one string, got {text!r}; load() reads lists.')
        text = text.strip()
        if text in cls.available():
            return cls.load(text)
        if text.lower().endswith(('.txt', '.zip')):
            return cls._from_file(Path(text), default=None)
        if not text:
            raise ValueError('A vocabulary needs at least one class, got none.')
        hint = did_you_mean(text[:200], cls.available(), cutoff=0.7)
        is_one_word = not set(text) & set(',;: \n\uff0c\u3001\uff1b')
        if (is_one_word and (hint or set(text) & set('/_.'))) or _FILE.search(text):
            raise ValueError(
                f'{text!r} is neither a packaged vocabulary nor a .txt file, and looks '
                f'like one.{hint} Packaged ones: {", ".join(cls.available())}.'
            )
        shown = text if len(text) <= 100 else f'{text[:100]}...'
        parsed = [
            parse_class(part, f'class {index} of {shown!r}')
            for index, part in enumerate(split_list(text), 1)
        ]
        if len(parsed) == 1 and len(parsed[0][1]) > 1:
            warnings.warn(
                f'{shown!r} is read as one class with {len(parsed[0][1])} names. For '
                f'several classes {FORM}.',
                stacklevel=2,
            )
        return cls._from_parsed(parsed, default=True)

    @classmethod
    def _from_file(cls, path: Path, *, default: bool | None = False) -> Vocabulary:
        if not path.exists():
            raise FileNotFoundError(f'There is no vocabulary file {str(path)!r}.')
        if path.suffix.lower() == '.zip':
            return cls._from_archive(path)
        parsed = read_classes(path)
        is_packaged = DATA_DIR in path.parents
        try:
            default = False if is_packaged else default
            return cls._from_parsed(parsed, default=default, check=not is_packaged)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error

    @classmethod
    def _from_archive(cls, path: Path) -> Vocabulary:
        lines, examples = unpack(path)
        parsed = parse_lines(lines, path)
        try:
            vocabulary = cls._from_parsed(parsed, default=False, check=False)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        if examples and max(examples) >= len(vocabulary):
            raise ValueError(
                f'{path} has examples of class {max(examples) + 1}, and '
                f'{len(vocabulary)} classes.'
            )
        groups = tuple(examples.get(label, ()) for label in range(len(vocabulary)))
        return replace(vocabulary, examples=groups)

    @classmethod
    def _from_parsed(
        cls, parsed: list[Parsed], *, default: bool | None, check: bool = True
    ) -> Vocabulary:
        if default is None:
            default = not any(kind for kind, _ in parsed)
        vocabulary = cls(
            synonyms=tuple(names for _, names in parsed),
            is_thing=tuple(default if kind is None else kind for kind, _ in parsed),
        )
        if check:
            vocabulary._warn_of_hidden_classes()
        return vocabulary

    def _warn_of_hidden_classes(self) -> None:
        """Tell which classes can never win, because another has all their names.

        Official lists have such classes, so they are no error.
        """
        owners: dict[str, set[int]] = {}
        for key, label in zip(self.keys, self.class_ids, strict=True):
            owners.setdefault(key, set()).add(label)
        for label, names in enumerate(self.synonyms):
            others = set.intersection(*(owners[name_key(x)] for x in names)) - {label}
            if others:
                warnings.warn(
                    f'Class {self.names[label]!r} can never score higher than '
                    f'{self.names[min(others)]!r}, which has all of its names too.',
                    stacklevel=4,
                )


def _to_flag(value: Any) -> bool:
    """Return a thing flag; ``bool('False')`` would be True."""
    if value not in (0, 1):
        raise TypeError(f'A thing flag is True or False, got {value!r}.')
    return bool(value)
