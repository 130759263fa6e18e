"""Check the datasets of a config before a training run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from torch.utils.data import DataLoader, Dataset

from ..apis.config import check_config, parse_options, read_config
from ..apis.images import write_png
from ..apis.output_folder import OutputFolder, describe_source, make_names
from ..apis.visualization import draw_panoptic, draw_semantic, side_by_side
from ..command_line import SPLITS
from ..datasets import PanopticDataset
from ..datasets.validation import (
    Findings,
    ImageFindings,
    PanopticCheck,
    SemanticCheck,
    Summary,
    compare_names,
)
from ..progress import Progress
from ..registry import DATASETS, TRANSFORMS
from ..vocabulary import Vocabulary
from .evaluator_validation import check_evaluator

# The transforms that decide what a label is (in a panoptic JSON its categories do).
LOADERS = {'LoadSemanticAnnotations', 'LoadAnnotations', 'KeepSeenClasses'}
Check = PanopticCheck | SemanticCheck


class DataEntry(NamedTuple):
    """One dataset of a config.

    Attributes:
        title: Where it is used, such as ``'val, test'``.
        dataset: Its config without pipeline.
        loaders: Transforms of its pipeline that make labels.
        vocabulary: What the model is asked for on it, if the config says so.
        evaluators: Configs of the metrics that run on it.
    """

    title: str
    dataset: dict
    loaders: list[dict]
    vocabulary: Any
    evaluators: list[dict]


def load_data_config(
    config: str, cfg_options: Mapping[str, Any] | Sequence[str] | None = None
) -> Config:
    """Load a config that needs no model, such as one of ``_base_/datasets``.

    Args:
        config: A path, or the name of a packaged config.
        cfg_options: Values to change, by dotted name.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If a key is misspelt.
    """
    cfg = read_config(config)
    if not isinstance(cfg_options, Mapping):
        cfg_options = parse_options(cfg_options or ())
    cfg.merge_from_dict(dict(cfg_options))
    check_config({'model': {}, **cfg})
    return cfg


def find_data(
    cfg: Mapping[str, Any], splits: Sequence[str] = SPLITS
) -> list[DataEntry]:
    """List the datasets of a config, each once.

    Raises:
        ValueError: If the config has none in these splits.
    """
    entries: dict[str, DataEntry] = {}
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if loader is None:
            continue
        vocabulary = _vocabulary_of(cfg, split)
        evaluators = cfg.get(f'{split}_evaluator') or []
        if isinstance(evaluators, Mapping):
            evaluators = [evaluators]
        for dataset in _unwrap(loader['dataset']):
            config = {k: v for k, v in dataset.items() if k != 'pipeline'}
            loaders = [
                step for step in dataset.get('pipeline', []) if _kind(step) in LOADERS
            ]
            entry = DataEntry(split, config, loaders, vocabulary, list(evaluators))
            content = {k: v for k, v in config.items() if k != 'test_mode'}
            key = repr([content, loaders, vocabulary])
            if key in entries:
                old = entries[key]
                entry = old._replace(
                    title=f'{old.title}, {split}',
                    evaluators=old.evaluators
                    + [x for x in evaluators if x not in old.evaluators],
                )
            entries[key] = entry
    if not entries:
        raise ValueError(f'The config has no dataloader for {", ".join(splits)}.')
    return list(entries.values())


def _vocabulary_of(cfg: Mapping[str, Any], split: str) -> Any:
    """Find what the model is asked for: as the model says, or the data config."""
    model = cfg.get('model') or {}
    if split == 'train':
        places = [(model, 'train_vocabulary'), (cfg, 'train_vocabulary')]
    else:
        places = [(model, 'test_vocabulary')]
    for place, key in [*places, (cfg, 'vocabulary')]:
        if place.get(key) is not None:
            return place[key]
    return None


def _unwrap(dataset: Mapping[str, Any]) -> Iterator[dict]:
    """Yield the datasets inside of wrappers such as RepeatDataset."""
    inner = dataset.get('datasets') or [dataset.get('dataset')]
    if inner == [None]:
        yield dict(dataset)
    else:
        for part in inner:
            yield from _unwrap(part)


def _kind(step: Mapping[str, Any]) -> str:
    kind = step['type']
    return kind.split('.')[-1] if isinstance(kind, str) else kind.__name__


def validate_data(
    entry: DataEntry,
    *,
    max_images: int | None = None,
    num_workers: int = 0,
    show_dir: str | Path | None = None,
    num_shown: int = 4,
    progress: bool = False,
) -> Summary:
    """Check one dataset.

    Args:
        entry: What :func:`find_data` gives.
        max_images: Images to look into, spread evenly; None means all. The JSON and
            the lists of files are checked whole.
        num_workers: Processes; 0 means this one.
        show_dir: Folder for pictures of images with their labels.
        num_shown: How many of them.
        progress: Whether to show how far the check is.

    Returns:
        Problems, notes and the histogram of classes.
    """
    init_default_scope('mmovseg')
    folder = None if show_dir is None else OutputFolder(show_dir, ['.png'])
    found = Findings()
    check = _make_check(entry, found)
    if check is None:
        summary = Summary(entry.title, (), is_thing=None, num_images=0)
        summary.add(found)
        return summary
    summary = Summary(
        entry.title, check.names, is_thing=check.is_thing, num_images=len(check)
    )
    summary.add(found)
    summary.add(check.found)
    _check_names(entry, check, summary)
    for metric in entry.evaluators:
        check_evaluator(metric, _kind(metric), check, summary)
    indices = _spread(len(check), max_images)
    _check_images(check, indices, summary, num_workers=num_workers, progress=progress)
    summary.finish()
    if folder is not None:
        prefix = entry.title.split(',')[0]
        for index in _spread(len(check), num_shown):
            _draw(check, index, folder, prefix)
    return summary


def _check_images(
    check: Check,
    indices: Sequence[int],
    summary: Summary,
    *,
    num_workers: int,
    progress: bool,
) -> None:
    loader = DataLoader(
        _Images(check, indices), batch_size=4, num_workers=num_workers, collate_fn=list
    )
    title = summary.title
    with Progress(len(indices), title, 'image', disable=not progress) as shown:
        for batch in loader:
            for image in batch:
                summary.add_image(image)
            shown.update(len(batch))


class _Images(Dataset):
    """The findings of images, for worker processes."""

    def __init__(self, check: Check, indices: Sequence[int]) -> None:
        self.check, self.indices = check, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> ImageFindings:
        return self.check.check(self.indices[index])


def _spread(length: int, number: int | None) -> list[int]:
    """Choose indices at equal distances, from the first to the last."""
    if number is None or number >= length:
        return list(range(length))
    return np.linspace(0, length - 1, number).round().astype(int).tolist()


def _make_check(entry: DataEntry, found: Findings) -> Check | None:
    try:
        dataset = DATASETS.build({**entry.dataset, 'pipeline': [], 'lazy_init': True})
        if isinstance(dataset, PanopticDataset):
            return PanopticCheck(dataset)
        if isinstance(dataset, BaseSegDataset):
            steps = entry.loaders or [dict(type='LoadSemanticAnnotations')]
            loaders = [TRANSFORMS.build(step) for step in steps]
            keep = _keep_step(entry)
            names = Vocabulary.load(keep['seen']).names if keep else None
            return SemanticCheck(dataset, loaders, names=names)
    except (OSError, ValueError, AssertionError) as error:
        found.problem('file' if isinstance(error, OSError) else 'names', str(error))
        return None
    found.problem(
        'json',
        f'{entry.dataset["type"]} cannot be checked; mmovseg.PanopticDataset and '
        'datasets of mmseg can',
    )
    return None


def _keep_step(entry: DataEntry) -> dict | None:
    steps = [step for step in entry.loaders if _kind(step) == 'KeepSeenClasses']
    return steps[0] if steps else None


def _check_names(entry: DataEntry, check: Check, summary: Summary) -> None:
    """Compare classes with vocabularies, before and after the hiding of unseen ones."""
    keep = _keep_step(entry)
    pairs: list[tuple[Sequence[str], Any, Sequence[bool] | None]] = []
    if keep:
        raw = check.names
        if isinstance(check, SemanticCheck):
            raw = check.dataset.metainfo.get('classes') or ()
        pairs.append((raw, keep['classes'], check.is_thing))
    try:
        if keep:
            pairs.append((Vocabulary.load(keep['seen']).names, entry.vocabulary, None))
        else:
            pairs.append((check.names, entry.vocabulary, check.is_thing))
        for names, source, is_thing in pairs:
            if source is None:
                summary.note('names', 'the config names no vocabulary to compare with')
            elif names:
                vocabulary = Vocabulary.load(source)
                summary.add(compare_names(names, vocabulary, is_thing=is_thing))
    except (OSError, ValueError, TypeError) as error:
        summary.problem('names', str(error))


def _draw(check: Check, index: int, folder: OutputFolder, prefix: str) -> None:
    """Write a picture of an image beside its labels; broken files have none."""
    try:
        image, values, segments = check.load(index)
    except (OSError, ValueError, IndexError):
        return
    if image.shape[:2] != values.shape:
        return
    if segments is None:
        drawing = draw_semantic(image, values, check.names, legend=False)
        labels = [x for x in np.unique(values).tolist() if 0 <= x < len(check.names)]
    else:
        drawing = draw_panoptic(image, values, segments, check.names, legend=False)
        labels = sorted({segment['category_id'] for segment in segments})
    name = check.name_of(index)
    picture = side_by_side(
        [image, drawing], [name, 'labels'], labels=labels, names=check.names
    )
    source = f'{prefix}/{name}'
    (stem,) = make_names([name])
    with folder.claim(f'{prefix}_{stem}', source) as stem:
        write_png(folder.path / f'{stem}.png', picture, describe_source(source))
