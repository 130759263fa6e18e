"""Read class names from text: one class, a list on a command line, a file."""

from __future__ import annotations

import codecs
import html
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from .names import check_names

# Far above any list of names: 21,000 classes of ImageNet take 0.5 MB.
MAX_FILE_BYTES = 2**24
MAX_CLASSES = 100_000
FORM = "write 'dog; puppy, cat': ',' between classes, ';' between names of one class"

Parsed = tuple[bool | None, tuple[str, ...]]  # thing flag, None if not given; names

# Full-width, ideographic, Arabic and small ones.
_COMMAS = str.maketrans(dict.fromkeys('\uff0c\u3001\u060c\ufe50', ','))
_MARKS = str.maketrans({'\uff1b': ';', '\uff1a': ':'})  # full-width
_CURLY = str.maketrans(
    dict.fromkeys('\u2018\u2019\u201a\u201b', "'")
    | dict.fromkeys('\u201c\u201d\u201e\u201f', '"')
)
_BRACKETS = {'[': ']', '(': ')', '{': '}'}
_QUOTED = re.compile(r'\s*(["\'])(.*?)\1\s*(?:,|$)', re.DOTALL)
_QUOTES = re.compile(r"'\s+'")  # between two names
_BULLET = re.compile(r'[-*•]\s+')
_NUMBER = re.compile(r'(\d+)[.)]\s+')
_STOP = re.compile(r'\s+\.(?:\s+|$)')
_SENTENCE_END = re.compile(r'[^\W\d_]{3,}\.(?:\s|$)')


def parse_class(text: str, where: str) -> Parsed:
    """Split ``[kind:] name; name``; the kind is None where there is no prefix.

    Args:
        text: One class, as in a line of a vocabulary file.
        where: The place, for messages.

    Raises:
        TypeError: If the text is no string.
        ValueError: If it is no class, or a list in the notation of another tool.
    """
    if not isinstance(text, str):
        raise TypeError(
            f'{where}: expected a string such as "dog; puppy", got {text!r}.'
        )
    if html.unescape(text) != text:
        raise ValueError(
            f'{where}: HTML entities in {text!r}; write {html.unescape(text)!r}.'
        )
    prefix, colon, names = text.translate(_MARKS).partition(':')
    kinds = {'thing': True, 'stuff': False}
    if not colon:
        kind, names = None, prefix
    elif prefix.strip() in kinds:
        kind = kinds[prefix.strip()]
    else:
        raise ValueError(
            f'{where}: unknown prefix {prefix.strip()!r} in {text.strip()!r}; '
            "write 'thing: name; name' or 'stuff: name; name'."
        )
    checked = check_names([name.strip() for name in names.split(';')], where)
    for name in checked:
        problem = _find_notation(name)
        if problem:
            raise ValueError(f'{where}: {problem} in {name!r}; {FORM}.')
    return kind, checked


def _find_notation(name: str) -> str | None:
    """Name what in a class name belongs to the notation of another tool."""
    plain = name.translate(_CURLY).translate(_COMMAS)
    if plain[0] in "'`" or plain[-1] == '`' or '"' in plain or _QUOTES.search(plain):
        return 'quotes'
    if plain[0] in '[{' or any(
        plain.count(opened) != plain.count(closed)
        for opened, closed in _BRACKETS.items()
    ):
        return 'brackets'
    if plain[0] == ',' or plain[-1] == ',':
        return 'a comma at an end'
    if name.translate(_COMMAS).count(',') != name.count(','):
        return 'a comma of another script'
    for mark in '|\\':
        if mark in name:
            return repr(mark)
    if _BULLET.match(name) or _NUMBER.match(name):
        return 'a bullet or number'
    if _STOP.search(name) or _SENTENCE_END.search(name):
        return 'a full stop'
    return None


def split_list(text: str) -> list[str]:
    """Split a list of classes from a command line.

    Besides ``'dog; puppy, cat'`` it reads what can mean one thing only: commas of other
    scripts, lists of Python and JSON (``["dog", "cat"]``), quoted names, one class per
    line with or without bullets or numbers, and full stops between blanks
    (``dog . cat .``). :func:`parse_class` refuses remains of other notations.

    Raises:
        ValueError: If quotes are opened and not closed.

    Example:
        >>> split_list('["dog", "cat"]'), split_list('dog . cat .')
        (['dog', 'cat'], ['dog', 'cat'])
    """
    text = text.strip()
    if _BRACKETS.get(text[:1]) == text[-1:]:
        text = text[1:-1].strip().removesuffix(',')
    if text[:1].translate(_CURLY) in ('"', "'"):
        return _split_quoted(text)
    lines = [x.strip() for x in text.translate(_COMMAS).splitlines()]
    lines = [x for x in lines if x and not x.startswith('#')]
    if len(lines) > 1:
        lines = [x.removesuffix(',') for x in lines]
    if lines and all(map(_BULLET.match, lines)):
        lines = [_BULLET.sub('', x, count=1) for x in lines]
        if all(x[0] == x[-1] and x[0] in '"\'' for x in lines):
            lines = [x[1:-1] for x in lines]
    parts = ','.join(lines).split(',')
    if len(parts) == 1 and ';' not in text and _STOP.search(parts[0]):
        parts = [x for x in _STOP.split(parts[0]) if x]
    parts = [x.strip() for x in parts]
    numbers = [_NUMBER.match(x) for x in parts]
    if len(parts) > 1 and all(numbers):
        first, *others = (int(x.group(1)) for x in numbers if x)
        if others == list(range(first + 1, first + len(parts))):
            parts = [_NUMBER.sub('', x, count=1) for x in parts]
    return parts


def _split_quoted(text: str) -> list[str]:
    """Split ``"dog", "cat"``; commas inside quotes belong to the name."""
    parts, start = [], 0
    plain = text.translate(_CURLY)  # as long as the text
    while start < len(text):
        match = _QUOTED.match(plain, start)
        if match is None:
            raise ValueError(
                f'Cannot read the quoted names {text[start:].strip()!r}; {FORM}.'
            )
        parts.append(text[slice(*match.span(2))])
        start = match.end()
    return parts


def read_classes(path: Path) -> list[Parsed]:
    """Read a vocabulary file: one class per line; ``#`` starts a comment line.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no text file, too large, or a line is no class; file and
            line are named.
    """
    parsed = parse_lines(_read_file(path), path)
    if len(parsed) == 1 and any(',' in name for name in parsed[0][1]):
        raise ValueError(
            f'{path} has a single class, {"; ".join(parsed[0][1])!r}, with a comma; '
            'write one class per line, and ";" between names of one class.'
        )
    return parsed


def parse_lines(content: bytes, path: Path) -> list[Parsed]:
    """Read the content of a vocabulary file.

    Args:
        content: UTF-8, one class per line.
        path: For messages.

    Raises:
        ValueError: See :func:`read_classes`.
    """
    parsed: list[Parsed] = []
    for number, raw in enumerate(_split_lines(content, path), 1):
        where = f'{path}, line {number}'
        try:
            line = raw.decode('utf-8').strip()
        except UnicodeDecodeError as error:
            raise ValueError(
                f'{where}: not UTF-8 ({error.reason}); save the file as UTF-8.'
            ) from error
        if not line or line.startswith('#'):
            continue
        parsed.append(parse_class(line, where))
        if len(parsed) > MAX_CLASSES:
            raise ValueError(f'{path} has more than {MAX_CLASSES} classes.')
    return parsed


def _read_file(path: Path) -> bytes:
    """Read a text file, after looking at what kind of file it is."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = 'a folder' if stat.S_ISDIR(status.st_mode) else 'no regular file'
        raise ValueError(
            f'{path} is {kind}; a vocabulary is a text file with one class per line.'
        )
    if status.st_size > MAX_FILE_BYTES:
        raise ValueError(
            f'{path} has {status.st_size:,} bytes, at most {MAX_FILE_BYTES:,} are '
            'read; a vocabulary is a text file with one class per line.'
        )
    return path.read_bytes()


def _split_lines(content: bytes, path: Path) -> Iterable[bytes]:
    """Split text into lines, after looking at what kind of text it is."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f'{path}: UTF-16, not UTF-8; save the file as UTF-8.')
    if b'\0' in content:
        raise ValueError(
            f'{path} is no text file: it holds zero bytes. A vocabulary is UTF-8 text '
            'with one class per line.'
        )
    # Editors of some systems put a byte order mark first.
    content = content.removeprefix(codecs.BOM_UTF8)
    if content.lstrip()[:1] in (b'[', b'{'):
        raise ValueError(
            f'{path} looks like JSON; write one class per line, without brackets and '
            'quotes.'
        )
    return content.replace(b'\r\n', b'\n').replace(b'\r', b'\n').split(b'\n')
