"""Tell the parts of any model which classes to look for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..vocabulary import Vocabulary


def set_vocabulary(
    model: Any, vocabulary: Vocabulary | str | Path | Sequence[str]
) -> Vocabulary:
    """Choose the classes of all parts of a model that have a vocabulary.

    For models of other packages with a part of ours, such as a ``VASNeck`` in a
    Mask2Former; ours have a method of this name. If a part of ours gives the classes of
    the result (``TextHead``, ``TextLinear``, ``MaskDecodeHead``, ``MaskPanopticHead``),
    this also changes the number of classes that the model knows, and the names in its
    ``dataset_meta``. Other heads keep their classes.

    Args:
        model: A model, or an inferencer of mmseg or mmdet with one in ``model``.
            Changed in place; no other thread may use it meanwhile.
        vocabulary: A vocabulary, a list of names, a packaged name, a path, or one
            string such as ``'person; man, dog, stuff: grass'``.

    Returns:
        The classes.

    Raises:
        ValueError: If no part goes by names, or mmdet's own fusion head would take
            stuff for things, because the things are not first.
    """
    classes = Vocabulary.from_user(vocabulary)
    module = model if isinstance(model, nn.Module) else model.model
    name = type(module).__name__
    parts: list[Any] = [x for x in module.modules() if has_vocabulary(x)]
    if not parts:
        raise ValueError(
            f'No part of this {name} has a vocabulary: give one text='
            "dict(type='TextClassifier', ...) and vocabulary=[...] in its config."
        )
    if any(getattr(part, 'names_results', False) for part in parts):
        _set_counts(module, classes)
    for part in parts:
        part.set_vocabulary(classes)
    return classes


def has_vocabulary(part: nn.Module) -> bool:
    """Whether a part finds classes of a vocabulary that it keeps."""
    return (
        hasattr(part, 'set_vocabulary')
        and getattr(part, 'vocabulary', None) is not None
    )


def _set_counts(model: Any, classes: Vocabulary) -> None:
    """Tell a model of mmdet or mmseg how many classes there are, and their names."""
    heads = [x for x in model.modules() if hasattr(x, 'num_things_classes')]
    things = sum(classes.is_thing)
    flags = (True,) * things + (False,) * (len(classes) - things)
    if heads and classes.is_thing != flags:
        raise ValueError(
            f'The heads of this {type(model).__name__} take the first classes for '
            'things: list things before stuff.'
        )
    for head in heads:
        head.num_things_classes = things
        head.num_stuff_classes = len(classes) - things
    for module in model.modules():
        for name in ('num_classes', 'out_channels'):
            # mmseg's models and heads; out_channels of others are widths.
            is_count = name == 'num_classes' or hasattr(module, 'decode_head')
            if is_count and isinstance(vars(module).get(name), int):
                setattr(module, name, len(classes))
    if getattr(model, 'dataset_meta', None):
        model.dataset_meta = dict(model.dataset_meta, classes=classes.names)
