"""What the converters of official checkpoints share: rename, check, report, save."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..fileio import atomic_path, printable
from ..registry import MODELS
from .checkpoint import get_state_dict, read_checkpoint
from .config import load_config, without_downloads

MAX_NAMES = 20  # of each kind in a report


def rename(name: str, rules: Iterable[tuple[str, str]]) -> str | None:
    """Return our name of an official one.

    Args:
        name: Official name.
        rules: Regular expressions of the start of a name, and what takes its place;
            the first match decides.

    Returns:
        The new name; None if no rule knows the old one.
    """
    for pattern, replacement in rules:
        if re.match(pattern, name):
            return re.sub('^' + pattern, replacement, name)
    return None


def rename_all(
    official: Mapping[str, Tensor],
    rules: Iterable[tuple[str, str]],
    unused: re.Pattern[str],
) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """Rename a state dict.

    Args:
        official: Weights by official name.
        rules: See :func:`rename`.
        unused: Matches the start of names that nothing uses. A rule comes first.

    Returns:
        Weights by our name, the names dropped because nothing uses them, and the
        names that no rule knows.
    """
    rules = list(rules)
    converted: dict[str, Any] = {}
    dropped: list[str] = []
    unknown: list[str] = []
    for name, value in official.items():
        new = rename(name, rules)
        if new is None:
            (dropped if unused.match(name) else unknown).append(name)
        else:
            converted[new] = value
    return converted, dropped, unknown


def read(path: Path) -> dict[str, Tensor]:
    """Read the state dict of an official file without running code in it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, unsafe or no checkpoint.
    """
    content = read_checkpoint(path)
    # detectron2 keeps the weights under "model".
    if isinstance(content.get('model'), dict):
        content = content['model']
    return get_state_dict(content, str(path))


def expected_shapes(config: str) -> dict[str, torch.Size]:
    """Return names and shapes of our model of a config, packaged or a file."""
    model = MODELS.build(without_downloads(load_config(config).model))
    return {name: value.shape for name, value in model.state_dict().items()}


def check(
    converted: Mapping[str, Tensor], shapes: Mapping[str, Sequence[int]]
) -> tuple[list[str], list[str]]:
    """List what our model misses, and what has another shape or no place there."""
    missing = sorted(set(shapes) - set(converted))
    wrong = [
        f'{name}: {tuple(value.shape)}, expected {tuple(shapes[name])}'
        for name, value in converted.items()
        if name in shapes and tuple(value.shape) != tuple(shapes[name])
    ]
    wrong += [f'{name}: not in the model' for name in converted if name not in shapes]
    return missing, wrong


def report(
    mapped: int, dropped: Iterable[str], problems: Mapping[str, Sequence[str]]
) -> str:
    """Describe a conversion.

    Args:
        mapped: Number of weights kept.
        dropped: Official names that nothing uses; counted by their first two parts.
        problems: Names by what is wrong with them; empty lists are shown too.
    """
    parts = Counter('.'.join(name.split('.')[:2]) for name in dropped)
    lines = [f'  mapped   {mapped}', f'  dropped  {parts.total()} {dict(parts)}']
    for title, names in problems.items():
        lines.append(f'  {title:8} {len(names)}')
        lines += [f'    {printable(name)}' for name in names[:MAX_NAMES]]
        if len(names) > MAX_NAMES:
            lines.append(f'    ... and {len(names) - MAX_NAMES} more')
    return '\n'.join(lines)


def save(path: Path, checkpoint: dict) -> None:
    """Write a checkpoint so that it is complete or absent."""
    with atomic_path(path) as draft:
        torch.save(checkpoint, draft)
