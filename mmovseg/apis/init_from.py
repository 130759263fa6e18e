"""Start a training from the weights of earlier stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from ..checkpoints import CheckpointError
from ..fileio import printable
from .checkpoint import (
    check_state_dict,
    converter_hint,
    get_state_dict,
    list_bad_values,
    list_names,
    list_other_shapes,
    read_checkpoint,
)


class CheckWeightsHook(Hook):
    """Refuse what the runner has read if it does not fit, before it is loaded.

    MMEngine warns, and trains what did not fit from random numbers.
    """

    priority = 'VERY_HIGH'  # before hooks that take the weights, as that of averages

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the weights, and what a training needs to go on."""
        name = runner._load_from or f'The last checkpoint of {runner.work_dir}'
        meta = checkpoint.get('meta')
        found = {*(meta if isinstance(meta, dict) else ()), *checkpoint}
        lacking = sorted({'iter', 'epoch', 'message_hub'} - found)
        if runner._resume and lacking:
            raise CheckpointError(
                f'{name} holds weights, but not what a training needs to go on '
                f'({", ".join(lacking)}): start a new one from it (--init-from).'
            )
        state = get_state_dict(checkpoint, name)
        check_state_dict(unwrap(runner.model), state, name=name)
        # Where MMEngine looks, however the file names it.
        checkpoint['state_dict'] = state


def unwrap(model: Any) -> Any:
    """Return the model inside a wrapper, such as that of several processes."""
    return model.module if is_model_wrapper(model) else model


class InitFromHook(Hook):
    """Load weights after the model's own initialization, unless training resumes.

    Args:
        weights: From :func:`find_shared_weights`.
        report: To be logged when they are loaded.
    """

    def __init__(self, weights: Mapping[str, Tensor], report: str) -> None:
        self.weights, self.report = dict(weights), report

    def before_train(self, runner: Runner) -> None:
        """Load the weights into the model."""
        if runner.iter == 0:
            unwrap(runner.model).load_state_dict(self.weights, strict=False)
            runner.logger.info(self.report)
        self.weights.clear()


def find_shared_weights(
    model: nn.Module, paths: Sequence[str | Path]
) -> tuple[dict[str, Tensor], str]:
    """Find the weights that checkpoints share with a model.

    Args:
        model: Stays as it is.
        paths: Files, read as by :func:`read_checkpoint`. A weight may be in several
            of them, with the same values.

    Returns:
        Weights by name, and a report: per part of the model what comes from which
        file, and what of a file has no place.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file is unsafe or damaged, shares no name with the model, has
            a weight of another shape, or contradicts another file.
    """
    own = model.state_dict()
    shared: dict[str, Tensor] = {}
    origin = dict.fromkeys(own, 'as built')
    homeless = []
    for path in paths:
        state = get_state_dict(read_checkpoint(path), str(path))
        shapes = list_other_shapes(own, state)
        found = {name: value for name, value in state.items() if name in own}
        other = [
            f'{name}, as in {origin[name].removeprefix("from ")}'
            for name, value in found.items()
            if name in shared and not torch.equal(value, shared[name])
        ]
        rest = [name for name in state if name not in own]
        values = [] if shapes else list_bad_values(own, found)
        if shapes or other or values or not found:
            lines = [
                f'{path} does not fit {type(model).__name__} or the files before it:',
                *list_names('other shape', shapes),
                *values,
                *list_names(
                    'other values; start that stage from the other file', other
                ),
                *(list_names('not in the model', rest) if not found else ()),
                *converter_hint(rest),
            ]
            raise CheckpointError('\n'.join(lines))
        shared.update(found)
        origin.update(dict.fromkeys(found, f'from {path}'))
        if rest:
            counts = Counter('.'.join(name.split('.')[:2]) for name in rest)
            homeless.append(f'  of no use here, in {printable(path)}: {_count(counts)}')
    parts: dict[str, Counter[str]] = {}
    for name, source in origin.items():
        parts.setdefault(name.split('.')[0], Counter())[source] += 1
    lines = [f'  {printable(part)}: {_count(counts)}' for part, counts in parts.items()]
    return shared, '\n'.join(['Weights at the start:', *lines, *homeless])


def _count(counts: Counter[str]) -> str:
    return ', '.join(f'{number} {printable(what)}' for what, number in counts.items())
