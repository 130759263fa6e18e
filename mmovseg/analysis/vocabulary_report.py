"""Compare two vocabularies: what is seen, what shares names, what is confusable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from torch import Tensor

from ..apis.config import load_config
from ..apis.init_model import init_model
from ..registry import MODELS
from ..vocabulary import Vocabulary, name_key

TINY_CONFIG = 'eovseg_tiny_shapeworld'  # needs no download


class Overlap(NamedTuple):
    """What a test vocabulary shares with a training vocabulary.

    Attributes:
        seen: Per class of the test vocabulary, ``[K]``.
        other_flags: Seen classes that are things in one and stuff in the other.
        near_misses: Names that would make an unseen class seen if hyphens and
            underscores were blanks: name of the test class, then of the training class.
    """

    seen: tuple[bool, ...]
    other_flags: list[int]
    near_misses: list[tuple[str, str]]


class Pair(NamedTuple):
    """Two classes and their most similar names."""

    similarity: float  # cosine
    labels: tuple[int, int]
    names: tuple[str, str]


def find_overlap(train: Vocabulary, test: Vocabulary) -> Overlap:
    """Compare names as the tokenizer sees them, as the zero-shot ensemble does.

    Args:
        train: Vocabulary of the training.
        test: Vocabulary that is evaluated.
    """
    seen = test.seen_in(train)
    flags: dict[str, set[bool]] = {}
    for key, label in zip(train.keys, train.class_ids, strict=True):
        flags.setdefault(key, set()).add(train.is_thing[label])
    other_flags = [
        label
        for label, names in enumerate(test.synonyms)
        if seen[label]
        and all(
            test.is_thing[label] not in flags[key]
            for key in map(name_key, names)
            if key in flags
        )
    ]
    plain = {_plain(name): name for name in train.all_names}
    near_misses = [
        (name, plain[_plain(name)])
        for label, names in enumerate(test.synonyms)
        if not seen[label]
        for name in names
        if _plain(name) in plain
    ]
    return Overlap(seen, other_flags, near_misses)


def rank_pairs(
    first: Vocabulary,
    first_rows: Tensor,
    second: Vocabulary | None = None,
    second_rows: Tensor | None = None,
    *,
    top: int = 10,
) -> list[Pair]:
    """Rank pairs of classes by the similarity of their most similar names.

    Names that the tokenizer sees alike do not count: they say nothing about a text
    tower.

    Args:
        first: V names.
        first_rows: Their unit embeddings, ``[V, D]``.
        second: W names of other classes; None ranks pairs within ``first``.
        second_rows: Their unit embeddings, ``[W, D]``.
        top: Number of pairs. Between two vocabularies every class of ``first`` has at
            most one, its closest.

    Returns:
        Pairs, the most similar one first.
    """
    within = second is None
    if second is None or second_rows is None:
        second, second_rows = first, first_rows
    cosines = first_rows @ second_rows.T  # [V, W]
    ids = {key: i for i, key in enumerate({*first.keys, *second.keys})}
    one, two = (
        torch.tensor([ids[key] for key in part.keys]) for part in (first, second)
    )
    cosines = cosines.masked_fill(one[:, None] == two, -2)
    owner, other = (torch.tensor(part.class_ids) for part in (first, second))
    shape = (len(first), len(second))
    best = _best_per_classes(cosines, owner, other, shape)
    if within:
        best = best.masked_fill(torch.ones(shape).tril().bool(), -2)
        values, places = best.flatten().topk(min(top, best.numel()))
        found = [(i // shape[1], i % shape[1]) for i in places.tolist()]
    else:
        closest = best.max(1)
        values, rows = closest.values.topk(min(top, shape[0]))
        found = [(row, int(closest.indices[row])) for row in rows.tolist()]
    pairs = []
    for similarity, labels in zip(values.tolist(), found, strict=True):
        if similarity < -1.5:  # no pair of different names
            continue
        row, column = _best_cell(cosines, owner == labels[0], other == labels[1])
        names = first.all_names[row], second.all_names[column]
        pairs.append(Pair(similarity, labels, names))
    return pairs


def _best_per_classes(
    cosines: Tensor, owner: Tensor, other: Tensor, shape: tuple[int, int]
) -> Tensor:
    """Reduce names, ``[V, W]``, to pairs of classes, ``[K, L]``."""
    cells = (owner[:, None] * shape[1] + other).flatten()
    best = torch.full((shape[0] * shape[1],), -2.0)
    return best.scatter_reduce(0, cells, cosines.flatten(), 'amax').view(shape)


def _best_cell(cosines: Tensor, rows: Tensor, columns: Tensor) -> tuple[int, int]:
    """Find the largest entry of some rows and columns, both bool masks."""
    inside = rows[:, None] & columns
    return divmod(int(cosines.masked_fill(~inside, -3).argmax()), cosines.shape[1])


def build_text_tower(
    config: str = TINY_CONFIG,
    checkpoint: str | Path | None = None,
    *,
    cfg_options: Mapping[str, Any] | None = None,
) -> tuple[BaseModule, str]:
    """Build the text classifier of a config.

    Args:
        config: A path, or the name of a packaged config.
        checkpoint: Weights of the whole model. None: as the config says, which may
            download those of CLIP; without any, random ones of a fixed seed.
        cfg_options: Values to change, by dotted name.

    Returns:
        The text classifier in eval mode, and a line that tells what it is.

    Raises:
        ValueError: If the config has no text classifier, or as :func:`init_model`.
    """
    cfg = load_config(config, cfg_options)
    part = cfg.model.get('text_classifier')
    if part is None:
        raise ValueError(f'The model of {config} has no text_classifier.')
    init_default_scope(cfg.get('default_scope', 'mmovseg'))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if checkpoint is None:
            classifier = MODELS.build(part).eval()
        else:
            classifier = init_model(cfg, checkpoint).text_classifier
    weights = f'pretrained {part.get("pretrained")!r}'
    if checkpoint is not None:
        weights = f'weights of {checkpoint}'
    elif part.get('pretrained') is None:
        weights = 'RANDOM WEIGHTS, whose similarities mean nothing'
    templates = f'{len(classifier.templates)} templates'
    if part.get('prompt_learner') is not None:
        templates = 'learned prompt'
    return classifier, f'{part["model_name"]}, {templates}, {weights}'


def _plain(name: str) -> str:
    return name_key(name.replace('-', ' ').replace('_', ' '))
