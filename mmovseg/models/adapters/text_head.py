"""Heads of mmdet and mmseg that classify by names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.config import ConfigDict
from torch import nn

from mmovseg.registry import MODELS

from .text_linear import TextLinear

# Where heads keep the layer to their classes.
PLACES = ('cls_embed', 'conv_seg', 'fc_cls')


@MODELS.register_module()
def TextHead(  # a type of configs, so not in lower case
    head: dict,
    *,
    text: dict | None = None,
    vocabulary: str | Sequence[str] | None = None,
    place: str | None = None,
    **more: Any,
) -> nn.Module:
    """Build a head of mmdet or mmseg, and let a :class:`TextLinear` classify for it.

    Args:
        head: Config of the head, such as ``mmdet.Mask2FormerHead``, with the package
            in front of its type.
        text: Config of a ``TextClassifier``.
        vocabulary: The classes of the annotation, as many as the head has, in the
            order of its labels.
        place: Dotted name of the layer to replace, inside of the head. None looks for
            ``cls_embed`` (mask classification), ``conv_seg`` (decode heads) and
            ``fc_cls`` (bounding boxes).
        more: Arguments that the surrounding model adds, for the head.

    Returns:
        The head; its ``set_vocabulary`` is that of
        :func:`mmovseg.apis.set_vocabulary`.

    Raises:
        ValueError: If text or vocabulary is missing, there is no such layer, it is none
            that maps to classes, or the head has another number of classes.
    """
    if text is None or vocabulary is None:
        raise ValueError(
            f'TextHead classifies by names, got text={text!r} and vocabulary='
            f"{vocabulary!r}: give it text=dict(type='mmovseg.TextClassifier', ...) "
            'and the classes of the annotation as vocabulary.'
        )
    # A ConfigDict, since heads read nested dicts as attributes.
    built: Any = MODELS.build(ConfigDict(head | more))
    name = type(built).__name__
    found = [x for x in PLACES if hasattr(built, x)] if place is None else [place]
    if not found:
        raise ValueError(
            f'{name} has none of the layers {PLACES}: name the one that maps to '
            'classes (place).'
        )
    *path, last = found[0].split('.')
    try:
        parent = built.get_submodule('.'.join(path))
        old: Any = parent.get_submodule(last)
    except AttributeError as error:
        raise ValueError(f'{name} has no layer {found[0]!r}.') from error
    options: dict[str, Any] = dict(text=text, vocabulary=vocabulary)
    if isinstance(old, nn.Linear):
        new = TextLinear(old.in_features, old.out_features, **options)
    elif isinstance(old, nn.Conv2d) and old.kernel_size == (1, 1):
        new = TextLinear(
            old.in_channels, old.out_channels, channels_first=True, **options
        )
    else:
        raise ValueError(
            f'{found[0]!r} of {name} is a {type(old).__name__}, not a linear layer or '
            'a 1x1 convolution: only such a layer can be replaced by names.'
        )
    setattr(parent, last, new)
    return built
