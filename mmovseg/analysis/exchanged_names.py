"""A control for open vocabularies: ask for every class by the names of another."""

from __future__ import annotations

import numpy as np

from ..vocabulary import Vocabulary


def shuffle_names(vocabulary: Vocabulary) -> Vocabulary:
    """Give every class the names of another one, things of things, stuff of stuff.

    What a model scores then, it scores without reading.

    Args:
        vocabulary: Each name goes to the class seven further of its kind, so that in
            ShapeWorld both the color and the shape are others.
    """
    synonyms = list(vocabulary.synonyms)
    for kind in (True, False):
        labels = [i for i, thing in enumerate(vocabulary.is_thing) if thing == kind]
        for label, other in zip(labels, np.roll(labels, 7), strict=True):
            synonyms[label] = vocabulary.synonyms[other]
    return Vocabulary(tuple(synonyms), vocabulary.is_thing)
