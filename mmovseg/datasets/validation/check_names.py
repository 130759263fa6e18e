"""Do the classes of a dataset and a vocabulary fit each other?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...vocabulary import Vocabulary, name_key
from .findings import Findings, shorten

FILLERS = {'other', 'merged', 'stuff', 'the', 'of'}  # of COCO's category names


def compare_names(
    names: Sequence[str],
    vocabulary: Vocabulary,
    *,
    is_thing: Sequence[bool] | None = None,
) -> Findings:
    """Compare the classes of a dataset with a vocabulary, label by label.

    A vocabulary may call a class as it likes, so a different name is only noted. It is
    a problem if the annotation's name belongs to *another* class of the vocabulary:
    then the order is wrong.

    Args:
        names: Class names of the annotation in label order.
        vocabulary: What the model is asked for.
        is_thing: Thing flags of the annotation; None where it has none.

    Returns:
        Problems of number, order, names that occur twice, and flags; notes of names
        that stand for several classes and of names that have nothing in common.

    Example:
        >>> found = compare_names(['cat', 'dog'], Vocabulary.from_names(['dog', 'cat']))
        >>> bool(found.problems)
        True
    """
    found = Findings()
    counts = Counter(map(name_key, names))
    twice = [name for name in names if counts[name_key(name)] > 1]
    if twice:
        found.problem('names', f'several classes of the data are called {twice}')
    owners: dict[str, list[int]] = {}
    for label, synonyms in enumerate(vocabulary.synonyms):
        for key in dict.fromkeys(map(name_key, synonyms)):
            owners.setdefault(key, []).append(label)
    shared = vocabulary.shared_names()
    if shared:
        texts = [
            f'{name!r} ({", ".join(vocabulary.names[i] for i in labels)})'
            for name, labels in shared.items()
        ]
        found.note(
            'names',
            f'{len(shared)} names of the vocabulary stand for several classes, which '
            f'then score alike: {shorten(texts, 5)}',
        )
    if len(names) != len(vocabulary):
        found.problem(
            'names',
            f'the data have {len(names)} classes, the vocabulary {len(vocabulary)}',
        )
        return found
    _compare_order(names, vocabulary, owners, found)
    if is_thing is not None:
        _compare_flags(names, is_thing, vocabulary, found)
    return found


def _compare_order(
    names: Sequence[str],
    vocabulary: Vocabulary,
    owners: dict[str, list[int]],
    found: Findings,
) -> None:
    unlike = []
    for label, name in enumerate(names):
        owner = owners.get(name_key(name), [])
        if owner and label not in owner:
            found.problem(
                'names',
                f'class {label} of the data is {name!r}, that of the vocabulary is '
                f'{vocabulary.names[label]!r}; {name!r} is its class {owner[0]}',
            )
        elif not _words(name) & _words(' '.join(vocabulary.synonyms[label])):
            unlike.append(f'{label} {name!r} / {vocabulary.names[label]!r}')
    if unlike:
        found.note(
            'names',
            f'{len(unlike)} classes have no word in common with the vocabulary: '
            f'{shorten(unlike, 5)}',
        )


def _compare_flags(
    names: Sequence[str],
    is_thing: Sequence[bool],
    vocabulary: Vocabulary,
    found: Findings,
) -> None:
    for wrong, right in (('stuff', True), ('thing', False)):
        differ = [
            name
            for name, ours, theirs in zip(
                names, is_thing, vocabulary.is_thing, strict=True
            )
            if ours is right and theirs is not right
        ]
        if differ:
            other = 'things' if right else 'stuff'
            found.problem(
                'flags',
                f'{len(differ)} classes are {other} in the data and {wrong} in the '
                f'vocabulary: {shorten(differ)}',
            )


def _words(text: str) -> set[str]:
    for mark in ',-_;/()':
        text = text.replace(mark, ' ')
    return set(text.lower().split()) - FILLERS
