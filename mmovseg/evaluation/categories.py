"""Which category of an instance JSON belongs to which class of a dataset."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import print_log

from ..formats.findings import shorten
from ..formats.instance_format import InstanceAnnotations
from ..vocabulary import name_key


def find_categories(annotations: InstanceAnnotations, meta: Mapping) -> list[Any]:
    """Find the category of every label.

    The ids of ``meta['category_ids']`` decide, without them the names of
    ``meta['classes']``.

    Args:
        annotations: The instance JSON.
        meta: Metainfo of the dataset.

    Returns:
        Id of a category for every label, None for what the JSON lacks.

    Raises:
        ValueError: If the JSON has none of the classes, calls stuff of the dataset
            otherwise or has instances of it, or if a class would leave the mean because
            the JSON gives it another name or id.
    """
    known, classes = annotations.categories, tuple(meta.get('classes') or ())
    ids: Sequence[Any] | None = meta.get('category_ids')
    if ids is None:
        by_name = {name: i for i, name in known.items()}
        ids = [by_name.get(name) for name in classes]
    else:
        _check_things(annotations, meta)
        ids = [i if i in known else None for i in ids]
    if all(i is None for i in ids):
        raise ValueError(
            f'The instance JSON {annotations.path} has no category of the dataset, '
            f'whose classes are {shorten(classes, 5)}; it has '
            f'{shorten([f"{name} (id {i!r})" for i, name in known.items()], 5)}.'
        )
    is_thing = meta.get('is_thing') or [True] * len(classes)
    absent = [
        name
        for name, i, thing in zip(classes, ids, is_thing, strict=True)
        if i is None and thing
    ]
    counts = annotations.count_by_category()
    left_out = [name for i, name in known.items() if i not in set(ids) and counts[i]]
    if left_out and absent:
        _check_left_out(annotations, left_out, absent, meta)
    return list(ids)


def _check_things(annotations: InstanceAnnotations, meta: Mapping) -> None:
    """Refuse, for example, mmdet's things-first file of ADE20K."""
    classes = meta['classes']
    is_thing = meta.get('is_thing', [True] * len(classes))
    counts = annotations.count_by_category()
    for category_id, name, thing in zip(
        meta['category_ids'], classes, is_thing, strict=True
    ):
        if thing or category_id not in annotations.categories:
            continue
        theirs = annotations.categories[category_id]
        if name_key(theirs) != name_key(name) or counts[category_id]:
            raise ValueError(
                f'The instance JSON has category {category_id}, {theirs!r}, which is '
                f'{name!r} and stuff in the dataset. The two must number the '
                'categories alike; for ADE20K make both with '
                'tools/dataset_converters/ade20k_panoptic.py.'
            )


def _check_left_out(
    annotations: InstanceAnnotations,
    left_out: Sequence[str],
    absent: Sequence[str],
    meta: Mapping,
) -> None:
    """Tell a class that has another name or id from one that is not wanted."""
    names = {name_key(name): name for name in absent}
    for name in left_out:
        close = difflib.get_close_matches(name_key(name), names, 1, cutoff=0.6)
        if close and (meta.get('category_ids') is None or close[0] == name_key(name)):
            raise ValueError(
                f'The instance JSON {annotations.path} has instances of {name!r}, '
                'which is no class of the dataset by its id or name. The class '
                f'{names[close[0]]!r}, which the JSON lacks, would leave the mean. '
                'Give both the same id and name.'
            )
    print_log(
        f'{annotations.path}: instances of {shorten(left_out)} are not scored, since '
        f'the dataset has no such class; its {shorten(absent)} have no category.',
        logger='current',
        level=logging.WARNING,
    )
