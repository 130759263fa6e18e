"""Check the files of metrics, and whether they fit the dataset."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine import fileio

from ..datasets.validation import PanopticCheck, SemanticCheck
from ..evaluation.categories import find_categories
from ..formats.findings import Findings, shorten
from ..formats.instance_format import InstanceAnnotations
from ..formats.panoptic_format import PanopticAnnotations
from ..vocabulary import name_key

INSTANCE_METRICS = ('InstanceMetric', 'CocoMetric')


def check_evaluator(
    metric: Mapping[str, Any],
    kind: str,
    check: PanopticCheck | SemanticCheck,
    found: Findings,
) -> None:
    """Check whatever a metric relies on.

    Args:
        metric: Its config.
        kind: Its name without scope.
        check: The dataset that it runs on.
        found: Gets the problems.
    """
    path, backend_args = metric.get('ann_file'), metric.get('backend_args')
    for key in ('ann_file', 'seg_prefix'):
        place = metric.get(key)
        if place is not None and not fileio.exists(place, backend_args=backend_args):
            found.problem('file', f'{kind} needs {key} {place}')
            path = None if key == 'ann_file' else path
    if not path:
        return
    try:
        if kind in INSTANCE_METRICS:
            annotations = InstanceAnnotations.read(path, backend_args)
            _check_instances(annotations, metric, check, found)
        elif osp.realpath(path) != osp.realpath(getattr(check, 'ann_file', '')):
            _check_panoptic(PanopticAnnotations.read(path, backend_args), check, found)
    except (OSError, ValueError) as error:
        found.problem('json', f'{kind}: {error}')


def _check_panoptic(
    annotations: PanopticAnnotations, check: PanopticCheck | SemanticCheck, found: Any
) -> None:
    """Check a panoptic JSON that is not that of the dataset."""
    found.add(annotations.found)
    for text in annotations.left_out():
        found.problem('json', f'{annotations.path}: {text}')
    if tuple(check.names) != annotations.names:
        found.problem(
            'names',
            f'the classes of {annotations.path} are not those of the dataset, in its '
            f'order: {shorten(annotations.names, 5)} and {shorten(check.names, 5)}',
        )
    if isinstance(check, PanopticCheck):
        _check_images(annotations, check, found)
        if check.is_thing != annotations.is_thing:
            found.problem(
                'flags', f'things of {annotations.path} are not those of the dataset'
            )


def _check_instances(
    annotations: InstanceAnnotations,
    metric: Mapping[str, Any],
    check: PanopticCheck | SemanticCheck,
    found: Findings,
) -> None:
    path, kinds = annotations.path, metric.get('metric', 'segm')
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if kind in ('segm', 'bbox'):
            annotations.check_kind(kind)
    found.add(annotations.found)
    for text in annotations.left_out():
        found.problem('json', f'{path}: {text}')
    crowds = [
        bool(annotation.get('iscrowd'))
        for annotated in annotations.annotations.values()
        for annotation in annotated
    ]
    if not crowds:
        found.note('use', f'{path} has no annotation: its metric scores nothing')
    elif all(crowds):
        found.problem(
            'use',
            f'all {len(crowds)} annotations of {path} are crowds ("iscrowd"): its '
            'metric scores nothing',
        )
    if not isinstance(check, PanopticCheck) or annotations.found.problems:
        return
    _check_classes(annotations, check, found)
    _check_images(annotations, check, found)


def _check_classes(
    annotations: InstanceAnnotations, check: PanopticCheck, found: Findings
) -> None:
    if not check.names or check.annotations.found.problems:
        return
    labels = check.annotations.labels
    things = {category for category, label in labels.items() if check.is_thing[label]}
    strange = [
        f'{i} {name}' for i, name in annotations.categories.items() if i not in things
    ]
    if strange:
        found.problem(
            'json',
            f'{len(strange)} categories of {annotations.path} are no things of '
            f'{check.ann_file}: {shorten(strange)}',
        )
    absent = [check.names[labels[i]] for i in things - set(annotations.categories)]
    if absent:
        found.note(
            'names',
            f'{len(absent)} things of {check.ann_file} are no categories of '
            f'{annotations.path}: {shorten(sorted(absent))}',
        )
    unlike = [
        f'{name!r} / {check.names[labels[i]]!r}'
        for i, name in annotations.categories.items()
        if i in labels and name_key(name) != name_key(check.names[labels[i]])
    ]
    if unlike:
        found.note(
            'names',
            f'{len(unlike)} categories of {annotations.path} have another name in '
            f'{check.ann_file}; their ids decide: {shorten(unlike)}',
        )
    meta = {
        'classes': check.names,
        'category_ids': tuple(labels),
        'is_thing': check.is_thing,
    }
    try:
        find_categories(annotations, meta)
    except ValueError as error:
        found.problem('names', str(error))


def _check_images(
    annotations: InstanceAnnotations | PanopticAnnotations,
    check: PanopticCheck,
    found: Findings,
) -> None:
    ids: Sequence = [image.id for image in check.images]
    missing = [i for i in ids if i not in annotations.images]
    if missing:
        found.problem(
            'json',
            f'{len(missing)} images of {check.ann_file} are not in {annotations.path}: '
            f'{shorten(missing)}',
        )
