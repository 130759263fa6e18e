"""Where parts are that earlier versions had here: an answer, not a missing name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmovseg.registry import MODELS

PROJECT = 'projects.eovseg_ablations'
MOVED_TYPES = ('CrossAttentionDecoder', 'SDIHead')
# Class and argument: what does the same now.
MOVED_ARGUMENTS = {
    ('VASNeck', 'num_levels'): "type='MultiScaleNeck', with a MultiScaleDecoder",
    ('LiteDecoder', 'early_fusion'): "type='EarlyFusionDecoder'",
}
HINT = (
    f"Import it from a clone: custom_imports=dict(imports='{PROJECT}') in the config, "
    f'or --cfg-options custom_imports.imports={PROJECT}.'
)


def explain_argument(kind: str, argument: str) -> str | None:
    """Say what an argument of a class has become; None for one that has not moved."""
    now = MOVED_ARGUMENTS.get((kind, argument))
    if now is None:
        return None
    return f'{argument} has moved to {PROJECT} as {now}. {HINT}'


def has_moved(kind: Any) -> bool:
    """Whether a type has moved to a project that is not imported."""
    return kind in MOVED_TYPES and not isinstance(MODELS.get(kind), type)


def explain_type(kind: str) -> str:
    """Say where a type is."""
    return f'{kind} has moved to {PROJECT}. {HINT}'


def _refuse(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ValueError(explain_type(name))

    return refuse


for _name in MOVED_TYPES:
    MODELS.register_module(name=_name, module=_refuse(_name))
