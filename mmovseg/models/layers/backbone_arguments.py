"""What OpenMMLab's backbones take, read in one way for all of ours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import nn


def refuse_init_cfg(part: nn.Module, init_cfg: Any) -> None:
    """Raise a ValueError if a part is told to start otherwise than it can.

    Args:
        part: Its weights come from ``pretrained``, or are drawn in the constructor.
        init_cfg: MMEngine's initialization config.
    """
    if init_cfg:
        raise ValueError(
            f'{type(part).__name__} takes no init_cfg, got {init_cfg!r}: CLIPs and '
            'their like load the tag or file that pretrained names, and a checkpoint '
            'of the whole model is loaded by load_from.'
        )


def read_out_indices(
    part: nn.Module, out_indices: Sequence[int], total: int, unit: str = 'block'
) -> tuple[int, ...]:
    """Return indices counted from 0.

    Args:
        part: The backbone.
        out_indices: As in the config, negative ones from the end.
        total: How many there are to choose from.
        unit: What they are.

    Raises:
        ValueError: If there is no such index, or they do not rise.
    """
    name = type(part).__name__
    if isinstance(out_indices, int) or not len(out_indices):
        raise ValueError(
            f'out_indices of {name} is a sequence such as (0, 1), got {out_indices!r}.'
        )
    found = tuple(i + total if i < 0 else i for i in out_indices)
    for shown, index in zip(out_indices, found, strict=True):
        if not 0 <= index < total:
            raise ValueError(
                f'out_indices of {name} has {shown}, but it has {total} {unit}s, '
                f'numbered from 0 (or from -1 at the end).'
            )
    if any(b <= a for a, b in pairwise(found)):
        raise ValueError(
            f'out_indices of {name} have to rise (finest map first), got '
            f'{tuple(out_indices)}.'
        )
    return found


def unfreeze_stages(
    part: nn.Module,
    stages: Sequence[Sequence[Any]],
    frozen_stages: int | None,
    *,
    used: int,
) -> bool:
    """Let the last stages of a frozen tower train.

    Args:
        part: The backbone.
        stages: Modules or parameters of each stage, those before the first stage in
            front.
        frozen_stages: As in OpenMMLab: how many stay frozen, what is before them
            included; -1 for not even that, None for all.
        used: The number of stages that run; others never train.

    Returns:
        Whether anything trains.

    Raises:
        ValueError: If there are fewer stages.
    """
    if frozen_stages is None:
        return False
    total = len(stages) - 1
    if not -1 <= frozen_stages <= total:
        raise ValueError(
            f'frozen_stages of {type(part).__name__} is a number from -1 (nothing '
            f'frozen) to {total}, or None (all frozen), got {frozen_stages}.'
        )
    trained = stages[frozen_stages + 1 : used + 1]
    for stage in trained:
        for piece in stage:
            piece.requires_grad_(True)
    return bool(trained)
