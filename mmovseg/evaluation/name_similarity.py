"""How near the names of classes are, for metrics that give credit for near names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..vocabulary import name_key

WORDS = 'words'


def compare_words(names: Sequence[str]) -> np.ndarray:
    """Compare names by the words that they share.

    The similarity is twice the number of shared words, divided by the number of words
    of both (Dice). In ShapeWorld that is what two classes have in common: of color or
    pattern, and shape.

    Args:
        names: Of K classes.

    Returns:
        In [0, 1], ``[K, K]``.

    Example:
        >>> compare_words(['red star', 'red cross', 'dotted star', 'sand'])[0].tolist()
        [1.0, 0.5, 0.5, 0.0]
    """
    groups = [frozenset(name_key(name).split()) for name in names]
    return np.array(
        [[2 * len(a & b) / (len(a) + len(b)) for b in groups] for a in groups]
    )


def read_similarity(source: str, names: Sequence[str]) -> np.ndarray:
    """Return how near the classes of a data set are.

    Args:
        source: ``'words'`` for :func:`compare_words`, or a JSON file with ``names`` and
            ``similarity``, a matrix in their order.
        names: Of the K classes of the data set.

    Returns:
        In [0, 1], 1 on the diagonal, symmetric, ``[K, K]``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is another one, lacks a class or has it twice, or the
            matrix is wrong.
    """
    if source == WORDS:
        return compare_words(names)
    if not str(source).lower().endswith('.json'):
        raise ValueError(f'similarity is {WORDS!r} or a .json file, got {source!r}.')
    if not Path(source).exists():
        raise FileNotFoundError(f'There is no file of similarity {str(source)!r}.')
    try:
        content = json.loads(Path(source).read_text(encoding='utf-8'))
        keys = [name_key(name) for name in content['names']]
        known = {key: i for i, key in enumerate(keys)}
        matrix = np.array(content['similarity'], float)
    except (KeyError, TypeError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(
            f'{source} must have "names" and "similarity", a matrix in their order '
            f'({type(error).__name__}: {error}).'
        ) from error
    if len(known) < len(keys):
        again = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise ValueError(f'{source} has {again!r} twice in "names".')
    missing = [name for name in names if name_key(name) not in known]
    if missing:
        raise ValueError(
            f'{source} says nothing of {len(missing)} classes, such as {missing[0]!r}.'
        )
    if matrix.shape != (len(known),) * 2 or not (
        np.allclose(matrix, matrix.T)
        and np.allclose(np.diag(matrix), 1)
        and (matrix >= 0).all()
        and (matrix <= 1).all()
    ):
        raise ValueError(
            f'The matrix of {source} must be {len(known)} x {len(known)}, symmetric, '
            'from 0 to 1, and 1 on the diagonal.'
        )
    index = [known[name_key(name)] for name in names]
    return matrix[np.ix_(index, index)]
