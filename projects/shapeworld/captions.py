"""Captions of ShapeWorld, for a CLIP to learn from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmovseg.shapeworld.drawing import STUFF
from mmovseg.vocabulary import Vocabulary, get_templates

# Those that segmentation asks with, and some more.
CLASS_TEMPLATES = (
    *get_templates('vild'),
    *('{}', 'a {}', 'the {}', 'a drawing of a {}.', 'a picture of a {}'),
)
PAINT_TEMPLATES = ('something {}', 'a {} shape', '{}', 'a {} thing')
SHAPE_TEMPLATES = ('a {}', '{}', 'the shape of a {}', 'a photo of a {}.')


class Captions:
    """All captions as tokens, one of every group at a time.

    Groups are the K classes, then colors and patterns, then shapes.

    Args:
        vocabulary: K classes with synonyms.
        tokenizer: Of open_clip: texts to tokens, ``[T, context]``.
    """

    def __init__(
        self, vocabulary: Vocabulary, tokenizer: Callable[[list[str]], Tensor]
    ) -> None:
        self.plain = tokenizer(list(vocabulary.names))  # [K, context]
        halves = [name.split() for name in vocabulary.names[len(STUFF) :]]
        self.paints, self.shapes = (
            list(dict.fromkeys(words)) for words in zip(*halves, strict=True)
        )
        groups = [
            *((names, CLASS_TEMPLATES) for names in vocabulary.synonyms),
            *(((name,), PAINT_TEMPLATES) for name in self.paints),
            *(((name,), SHAPE_TEMPLATES) for name in self.shapes),
        ]
        self.tokens = [
            tokenizer([t.replace('{}', name) for name in names for t in templates])
            for names, templates in groups
        ]
        # Paint and shape of every class; -100, which losses ignore, for textures.
        table = [(self.paints.index(a), self.shapes.index(b)) for a, b in halves]
        self.halves = torch.tensor([(-100, -100)] * len(STUFF) + table)  # [K, 2]

    def draw(self, rng: np.random.RandomState) -> Tensor:
        """Return the tokens of one caption per group, ``[K + paints + shapes, L]``."""
        return torch.stack([x[rng.randint(len(x))] for x in self.tokens])

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy of whole names and, at half weight, of halves.

        Args:
            logits: Of the drawn captions, ``[B, K + paints + shapes]``.
            labels: Classes, ``[B]``.
        """
        sizes = [len(self.plain), len(self.paints), len(self.shapes)]
        names, paints, shapes = logits.split(sizes, dim=1)
        paint, shape = self.halves[labels].unbind(1)
        halves = F.cross_entropy(paints, paint) + F.cross_entropy(shapes, shape)
        return F.cross_entropy(names, labels) + 0.5 * halves
