"""Tell the parts of any model which classes to look for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..vocabulary import Vocabulary


def set_vocabulary(
    model: Any, vocabulary: Vocabulary | str | Path | Sequence[str]
) -> None:
    """Choose the classes of all parts of a model that have a vocabulary.

    For models of other packages with a part of ours, such as a ``VASNeck`` in a
    Mask2Former. Ours have a method of this name. Heads with a fixed number of classes
    keep theirs.

    Args:
        model: A model, or an inferencer of mmseg or mmdet with one in ``model``.
        vocabulary: A vocabulary, a packaged name, a path or a list of names.

    Raises:
        ValueError: If no part of the model has a vocabulary.
    """
    module = model if isinstance(model, nn.Module) else model.model
    loaded = Vocabulary.load(vocabulary)
    parts: list[Any] = [x for x in module.modules() if has_vocabulary(x)]
    if not parts:
        raise ValueError(
            f'No part of this {type(module).__name__} has a vocabulary: give one text='
            "dict(type='TextClassifier', ...) and vocabulary=[...] in its config."
        )
    for part in parts:
        part.set_vocabulary(loaded)


def has_vocabulary(part: nn.Module) -> bool:
    """Whether a part finds classes of a vocabulary that it keeps."""
    return hasattr(part, 'set_vocabulary') and part.vocabulary is not None
