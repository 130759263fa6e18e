"""When two class names are the same name to a text tower, and what a name may hold."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from html.entities import html5

# The longest official name has 45 characters. This only catches a file that is no
# vocabulary; whether a prompt fits into the text tower is for TextClassifier to say.
MAX_NAME_LENGTH = 200

_ENTITY = re.compile(r'&#?[0-9A-Za-z]{1,24};')
_CONTRACTION = re.compile(r"'(?:[s\u017f]|t|re|ve|m|ll|d)")
_RUN = re.compile(r'L+|N|\.+')
_QUOTES = str.maketrans(
    dict.fromkeys('\u02bc\u2018\u2019\u201a\u201b', "'")
    | dict.fromkeys('\u201c\u201d\u201e\u201f', '"')
)
_LIGATURES = frozenset('ĲĳŉǱǲǳǄǅǆǇǈǉǊǋǌﬀﬁﬂﬃﬄﬆ')
_TAG = re.compile(r'<[^<>]*>')
_FOREIGN_RUN = re.compile(r'[^\x00-\x7f]+')
# No width, or blank: the fillers of Hangul, the blank of Braille, and the like.
_INVISIBLE = frozenset('\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0')
_JOINERS = frozenset('\u200c\u200d')


@lru_cache(maxsize=2**16)
def name_key(name: str) -> str:
    """Return what the tokenizer of CLIP sees of a name.

    Two names have the same key if and only if the tokenizer gives them the same
    tokens, so that their text embeddings are equal. The key is the name in lower
    case, in NFC, with HTML entities replaced, with wide letters, ligatures and curly
    quotes made plain, and split where the tokenizer splits.

    Args:
        name: Any name that a :class:`Vocabulary` accepts.

    Returns:
        The pieces that the tokenizer encodes, with one blank between them.

    Example:
        >>> name_key('Ice-Cream  Van') == name_key('ice - cream van')
        True
        >>> name_key("Dog&#39;s house")
        "dog 's house"

    Source: open_clip 3.3, ``SimpleTokenizer`` with ``clean='lower'``.
    """
    text = html.unescape(html.unescape(_fix_letters(name)))
    return ' '.join(_split(' '.join(text.split()).lower()))


def _fix_letters(text: str) -> str:
    """Do what ``ftfy.fix_text`` does, but for its guesses at wrong encodings."""
    has_tag = '<' in text
    while True:
        before = text
        if not has_tag:
            text = _ENTITY.sub(_replace_entity, text)
        text = ''.join(map(_make_plain, text)).translate(_QUOTES)
        text = unicodedata.normalize('NFC', text)
        if text == before:
            return text


def _replace_entity(match: re.Match[str]) -> str:
    """Replace an HTML entity that ends in a semicolon, also one in capitals."""
    text = match.group()
    if text.startswith('&#'):
        replaced = html.unescape(text)
        return text if ';' in replaced else replaced
    if text[1:] in html5:
        return html5[text[1:]]
    lower = text[1:].lower()
    is_capital = text[1:] == lower.upper() and html.unescape(text) == text
    return html5[lower].upper() if is_capital and lower in html5 else text


def _make_plain(char: str) -> str:
    """Replace a full-width or half-width form, or a ligature of Latin letters."""
    is_wide = '\uff01' <= char < '\ufff0'
    if is_wide or char in _LIGATURES:
        return unicodedata.normalize('NFKC', char)
    return '\u017ft' if char == 'ﬅ' else char


def _split(text: str) -> list[str]:
    """Split into runs of letters, single digits, and runs of anything else."""
    kinds = ''.join(map(_kind, text))
    pieces, start = [], 0
    while start < len(text):
        match = _CONTRACTION.match(text, start) or _RUN.match(kinds, start)
        if match:
            pieces.append(text[start : match.end()])
        start = match.end() if match else start + 1
    return pieces


def _kind(char: str) -> str:
    if char.isspace():
        return ' '
    category = unicodedata.category(char)[0]
    return category if category in 'LN' else '.'


def check_names(names: Iterable[str], where: str) -> tuple[str, ...]:
    """Return the names of one class as a tuple.

    Args:
        names: As they are to be shown.
        where: The place, for messages: a class, or a file and a line.

    Raises:
        TypeError: If the names are a string, or one of them is none.
        ValueError: If a name cannot be meant; the message says why.
    """
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
        problem = _find_problem(name)
        if problem:
            raise ValueError(f'{where}: {problem}')
    return names


def _find_problem(name: str) -> str | None:
    """Say what is wrong with a name, if anything is."""
    if not name.strip():
        return 'blank name; remove the separator before or after it.'
    if len(name) > MAX_NAME_LENGTH:
        return (
            f'the name {name[:40]!r}... has {len(name)} characters, at most '
            f'{MAX_NAME_LENGTH} are allowed; separate synonyms by ";".'
        )
    for before, char, after in zip(f' {name}', name, f'{name[1:]} ', strict=False):
        # Cc control, Cs lone surrogate, Zl/Zp line and paragraph separators.
        if unicodedata.category(char) in ('Cc', 'Cs', 'Zl', 'Zp'):
            return f'control character {char!r} in {name!r}; remove it.'
        is_joiner = char in _JOINERS and not (before.isascii() or after.isascii())
        is_format = unicodedata.category(char) == 'Cf'
        if (is_format and not is_joiner) or char in _INVISIBLE:
            return f'invisible character {char!a} in {name!r}; remove it.'
    if name != name.strip():
        return f'blanks around the name {name!r}; strip them.'
    tag = _TAG.search(html.unescape(_fix_letters(name)))
    if tag:
        return f'{tag.group()!r} in {name!r} is markup; leave it out.'
    repaired = _FOREIGN_RUN.sub(_repair_encoding, name)
    if repaired != name:
        return (
            f'{name!r} looks like UTF-8 that was read in another encoding; write '
            f'{repaired!r}.'
        )
    categories = {unicodedata.category(char) for char in name_key(name)}
    if not any(x[0] in 'LN' or x in ('So', 'Sc') for x in categories):
        return f'the name {name!r} has neither a letter nor a digit; give a word.'
    return None


def _repair_encoding(match: re.Match[str]) -> str:
    """Return UTF-8 that was decoded as Windows-1252 or Latin-1; else the same text."""
    for encoding in ('cp1252', 'latin-1'):
        try:
            return match.group().encode(encoding).decode('utf-8')
        except UnicodeError:
            continue
    return match.group()
