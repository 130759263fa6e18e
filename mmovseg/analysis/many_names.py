"""Quality, time and memory of a model as its list of names grows."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor

from ..models.segmentors import OVSegmentor
from ..models.structures import TextEmbeddings
from ..progress import Progress
from ..shapeworld.drawing import COLORS, PATTERNS, SHAPES
from ..vocabulary import Vocabulary, name_key
from .clock import Clock
from .profiling import random_text

MORE_COLORS = (
    *('pink', 'brown', 'black', 'white', 'gray', 'cyan', 'teal', 'gold', 'silver'),
    *('beige', 'magenta', 'turquoise', 'violet', 'olive', 'navy', 'maroon', 'lime'),
)
MORE_SHAPES = (
    *('hexagon', 'pentagon', 'octagon', 'ring', 'arrow', 'crescent', 'diamond'),
    *('oval', 'rectangle', 'trapezoid', 'spiral', 'cube', 'cone', 'cylinder'),
)
MORE_PATTERNS = ('checkered', 'spotted', 'plaid', 'wavy', 'zigzag', 'speckled')
COLUMNS = (
    *('panoptic/PQ', 'panoptic/PQ_seen', 'panoptic/PQ_unseen', 'semantic/mIoU'),
    'presence/recall',
)


def make_distractors(count: int, vocabulary: Vocabulary) -> list[str]:
    """Name things that no picture of ShapeWorld shows, near to those that one does.

    They put a color, a pattern and a shape together, of ShapeWorld's and of others;
    where those do not suffice, two colors. The first ones are the same for any count.

    Args:
        count: How many.
        vocabulary: Its names are left out.

    Raises:
        ValueError: If there are not so many.

    Example:
        >>> names = make_distractors(300, Vocabulary.load('shapeworld'))
        >>> len(set(names)), names[0]
        (300, 'gray speckled arrow')
    """
    colors, shapes = (*COLORS, *MORE_COLORS), (*SHAPES, *MORE_SHAPES)
    patterns = (*PATTERNS, *MORE_PATTERNS)
    near = [
        *map(' '.join, itertools.product(colors, shapes)),
        *map(' '.join, itertools.product(patterns, shapes)),
        *map(' '.join, itertools.product(colors, patterns, shapes)),
    ]
    pairs = list(itertools.permutations(colors, 2))
    kinds = list(itertools.product(patterns, shapes))
    rng, known = np.random.RandomState(0), set(vocabulary.keys)
    names = [near[i] for i in rng.permutation(len(near))]
    names = [name for name in names if name_key(name) not in known]
    for i in rng.permutation(len(pairs) * len(kinds))[: max(0, count - len(names))]:
        (first, second), (pattern, shape) = (
            pairs[i // len(kinds)],
            kinds[i % len(kinds)],
        )
        names.append(f'{first} and {second} {pattern} {shape}')
    if count > len(names):
        raise ValueError(f'There are {len(names)} other names of shapes, not {count}.')
    return names[:count]


def extend_vocabulary(
    vocabulary: Vocabulary, count: int, others: Sequence[str] | None = None
) -> Vocabulary:
    """Add classes that no picture shows behind those of a data set.

    Args:
        vocabulary: Of the data set.
        count: Classes in all.
        others: Their names; None takes :func:`make_distractors`.

    Raises:
        ValueError: If there are more classes already, or not so many others.
    """
    more = count - len(vocabulary)
    if more < 0:
        raise ValueError(
            f'{count} names are fewer than the {len(vocabulary)} of the data set.'
        )
    if others is None:
        others = make_distractors(more, vocabulary)
    known = set(vocabulary.keys)
    unlike = {name_key(x): x for x in others if name_key(x) not in known}
    others = list(unlike.values())
    if len(others) < more:
        raise ValueError(
            f'{count} names need {more} that are not in the data set, and there are '
            f'{len(others)}.'
        )
    return Vocabulary(
        (*vocabulary.synonyms, *((name,) for name in others[:more])),
        (*vocabulary.is_thing, *[True] * more),
    )


def forget_distractors(sample: BaseDataElement, names: Sequence[str]) -> None:
    """Make results those of the classes of a data set; others become void.

    Args:
        sample: With a panoptic or a semantic result, changed in place.
        names: The classes of the data set, which come first in the model's.
    """
    panoptic = sample.get('pred_panoptic_seg')
    if panoptic is not None:
        codes, divisor = panoptic.sem_seg, panoptic.label_divisor
        wrong = (codes >= divisor) & (codes % divisor >= len(names))
        meta = {
            key: value
            for key, value in panoptic.metainfo_items()
            if key != 'segments_info'
        }
        # Values below the divisor are void.
        sample.pred_panoptic_seg = PixelData(
            metainfo=dict(meta, label_names=list(names)),
            sem_seg=codes.masked_fill(wrong, 0),
        )
    semantic = sample.get('pred_sem_seg')
    if semantic is not None:
        sample.pred_sem_seg = PixelData(
            metainfo=dict(label_names=list(names)),
            sem_seg=semantic.sem_seg,
            data=semantic.sem_seg,
        )


def pick_metrics(metrics: Sequence[dict]) -> list[dict]:
    """Take the metrics of maps out of a config, and add the recall of names.

    Raises:
        ValueError: If none of them reads a panoptic JSON.
    """
    kinds = ('PanopticMetric', 'SemanticMetric')
    kept = [dict(x, classwise=False) for x in metrics if x['type'] in kinds]
    sources = [x for x in kept if x.get('ann_file')]
    if not sources:
        raise ValueError(
            'The curve needs a PanopticMetric or a SemanticMetric with ann_file in '
            'test_evaluator, and the config has none.'
        )
    keys = ('ann_file', 'seg_prefix', 'seen', 'backend_args')
    source = {key: sources[0][key] for key in keys if key in sources[0]}
    return [*kept, dict(type='PresenceMetric', **source)]


def split_keeps(
    model: OVSegmentor, keeps: Sequence[int | None]
) -> tuple[list[int | None], str]:
    """Take out the presence filters that a model cannot have.

    Args:
        model: A segmentor.
        keeps: Names that the filter keeps; None for no filter.

    Returns:
        Those that work, and why the others do not; empty if all of them do.

    Raises:
        ValueError: If none of them works.
    """
    possible = [x for x in keeps if x is None or model.embeds_parts]
    if len(possible) == len(keeps):
        return possible, ''
    numbers = ' '.join(str(x) for x in keeps if x is not None)
    reason = (
        f'--keep {numbers} is impossible: no CLIP of {type(model).__name__} sees the '
        'image before the names are read, so none can be left out.'
    )
    if not possible:
        raise ValueError(f'{reason} Take --keep all.')
    return possible, reason


@contextmanager
def filtered(model: OVSegmentor, keep: int | None) -> Iterator[None]:
    """Let a model keep so many names per image inside; None keeps all."""
    before = model.presence_filter
    model.set_presence_filter(None if keep is None else dict(num_names=keep))
    try:
        yield
    finally:
        model.presence_filter = before


class _Costs:
    """Time and memory of one setting.

    On a CPU it is the time of the processor, which other work does not change.
    """

    def __init__(self, device: torch.device) -> None:
        self.clock = Clock(device)
        self.seconds: list[float] = []
        self.start = self.clock.reset_memory()

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Time what is inside."""
        seconds = self.clock.seconds if self.clock.cuda else time.process_time
        start = seconds()
        yield
        self.seconds.append(seconds() - start)

    def describe(self) -> dict[str, float]:
        """Return milliseconds (median), and megabytes above what was there before."""
        costs = dict(ms=1000 * float(np.median(self.seconds)))
        if self.start is not None:
            costs['MB'] = (self.clock.peak_memory() - self.start) / 2**20
        return costs


@torch.no_grad()
def evaluate_names(
    model: OVSegmentor,
    loader: Any,
    metrics: Sequence[dict],
    counts: Sequence[int],
    *,
    keeps: Sequence[int | None] = (None,),
    others: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Evaluate a model with its names among more and more that no picture shows.

    Args:
        model: A segmentor in eval mode, with the vocabulary of the data set.
        loader: Data loader of the test set, with batches of one image.
        metrics: Configs of the metrics of the data set.
        counts: Names in all.
        keeps: Names that the presence filter keeps; None for no filter.
        others: See :func:`extend_vocabulary`.

    Returns:
        A row per count and filter: ``names``, ``keep``, time and memory per image, all
        metrics by name.

    Raises:
        ValueError: See :func:`extend_vocabulary` and :func:`pick_metrics`.
    """
    metrics, base = pick_metrics(metrics), model.vocabulary
    device = next(model.parameters()).device
    rows: list[dict[str, Any]] = []
    with Progress(len(counts) * len(keeps) * len(loader), 'Names', 'image') as progress:
        for count, keep in itertools.product(counts, keeps):
            vocabulary = extend_vocabulary(base, count, others)
            text = model.encode_vocabulary(vocabulary)
            evaluator = Evaluator(copy.deepcopy(metrics))
            evaluator.dataset_meta = loader.dataset.metainfo
            costs = _Costs(device)
            with filtered(model, keep):
                for batch in loader:
                    data = model.data_preprocessor(batch, False)
                    with costs.measure():
                        [sample] = _segment(model, data, text, vocabulary)
                    forget_distractors(sample, base.names)
                    evaluator.process([sample], batch)
                    progress.update()
            found = evaluator.evaluate(len(loader.dataset))
            row = dict(names=count, keep=keep, **costs.describe(), **found)
            if keep is None:
                row.pop('presence/recall', None)
            rows.append(row)
    return rows


def _segment(
    model: OVSegmentor, data: dict, text: TextEmbeddings, vocabulary: Vocabulary
) -> list:
    inputs, samples = data['inputs'], data['data_samples']
    size = (inputs.shape[-2], inputs.shape[-1])
    prediction = model.predict_masks(inputs, text, samples)
    return model.fusion(prediction, samples, vocabulary, size, ['panoptic', 'semantic'])


@torch.no_grad()
def time_names(
    model: OVSegmentor,
    inputs: Tensor,
    counts: Sequence[int],
    *,
    keeps: Sequence[int | None] = (None,),
    repeat: int = 3,
) -> list[dict[str, Any]]:
    """Time a model with random embeddings of many names.

    Args:
        model: A segmentor in eval mode; its weights do not matter.
        inputs: A normalized, padded image, ``[1, 3, H, W]``.
        counts: Numbers of names.
        keeps: Names that the presence filter keeps; None for no filter.
        repeat: Runs, after one that is not counted.

    Returns:
        A row per count and filter: ``names``, ``keep``, ``ms`` (median; of the
        processor on a CPU) and ``MB``, the peak above what was in memory before.

    Raises:
        ValueError: If the model cannot leave out names; see :func:`split_keeps`.
    """
    rows: list[dict[str, Any]] = []
    before, nothing = model.vocabulary, Vocabulary((('nothing',),), (True,))
    for count in counts:
        names = make_distractors(count, nothing)
        model.set_vocabulary(Vocabulary(tuple((x,) for x in names), (True,) * count))
        text = random_text(model)
        for keep in keeps:
            with filtered(model, keep):
                data = dict(inputs=inputs, data_samples=None)
                _segment(model, data, text, model.vocabulary)
                costs = _Costs(inputs.device)
                for _ in range(repeat):
                    with costs.measure():
                        _segment(model, data, text, model.vocabulary)
            rows.append(dict(names=count, keep=keep, **costs.describe()))
    model.set_vocabulary(before)
    return rows


def make_table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return a table of rows, head first."""
    columns = [x for x in COLUMNS if any(x in row for row in rows)]
    costs = [x for x in ('ms', 'MB') if any(x in row for row in rows)]
    table = [['names', 'kept', *columns, *(f'{x} per image' for x in costs)]]
    for row in rows:
        keep = 'all' if row['keep'] is None else str(min(row['keep'], row['names']))
        table.append(
            [
                str(row['names']),
                keep,
                *(f'{row[key]:.1f}' if key in row else '' for key in columns),
                *(f'{row[key]:.0f}' if key in row else '' for key in costs),
            ]
        )
    return table
