"""Read checkpoints without running code in them, and load them whole or not at all."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints import CheckpointError, read_path
from ..fileio import printable
from . import zoo

# What stands for a file that comes with the package, that of `tiny-eovseg`. Towers that
# are packaged too are not in it; projects/shapeworld/export_checkpoint.py makes it.
PACKAGED = {
    'shapeworld': Path(__file__).parents[1]
    / 'models/tiny_eovseg/eovseg_tiny_shapeworld.safetensors'
}
MAX_NAMES = 10  # of each kind in an error message
# Converters, and starts of names that only the official files have.
CONVERTERS = {
    'fcclip_to_mmovseg.py': ('sem_seg_head.pixel_decoder.transformer.',),
    'eovseg_to_mmovseg.py': ('light_weight_decoder.',),
    'deop_to_mmovseg.py': ('sem_seg_head.', 'clip_adapter.', 'stem.conv1.'),
}


def find_checkpoint(name: str | Path) -> str:
    """Return the file that the name of a model stands for, or the name.

    Args:
        name: ``'shapeworld'``, a model with weights (see :func:`mmovseg.load`), a file
            or a URL.

    Raises:
        FileNotFoundError: If the packaged file is missing, or the weights have to be
            fetched by hand first.
        DownloadError: If the weights cannot be fetched; it is an OSError.
    """
    path = PACKAGED.get(str(name))
    if path is None:
        # A file wins: its name is older than that of a model of a later version.
        is_name = re.fullmatch(r'[\w-]+', str(name)) and not Path(name).exists()
        model = zoo.find_model(str(name)) if is_name else None
        found = None if model is None else zoo.get_weights(model)
        return str(name if found is None else found)
    if not path.is_file():
        raise FileNotFoundError(
            f'The packaged checkpoint {str(name)!r} is not in this installation '
            f'({path} is missing). Name a file, such as one that make demo leaves.'
        )
    return str(path)


def read_checkpoint(
    path: str | Path, *, trust_checkpoint: bool = False
) -> dict[str, Any]:
    """Read a checkpoint file onto the CPU.

    Tensors, plain Python containers, numpy arrays and MMEngine's loss histories are
    all that a pickle may hold, so that reading runs no code of the file.

    Args:
        path: A file of safetensors, one written by ``torch.save`` (MMEngine's runner
            included), a pickle of numpy arrays (detectron2's model zoo), a URL of
            these, which is fetched once, ``'shapeworld'``, the packaged checkpoint, or
            the name of a model with weights (see :func:`mmovseg.load`).
            What a file holds decides, not its name.
        trust_checkpoint: Unpickle whatever the file holds. Such a file can run any
            code: only for files of people you trust.

    Returns:
        What the file holds.

    Raises:
        FileNotFoundError: If there is no such file.
        DownloadError: If a URL gives no file; it is an OSError.
        CheckpointError: If the file is damaged, is no checkpoint, or needs trust; it is
            a ValueError.
    """
    return read_path(find_checkpoint(path), trust=trust_checkpoint)


def get_state_dict(checkpoint: Mapping[str, Any], name: str = '') -> dict[str, Tensor]:
    """Find the weights in a checkpoint.

    Args:
        checkpoint: From :func:`read_checkpoint`: the weights themselves, or under
            ``state_dict`` (MMEngine, Lightning) or ``model`` (detectron2).
        name: File name for the message.

    Returns:
        Weights by name, without the ``module.`` of a wrapped model.

    Raises:
        ValueError: If there are no weights.
    """
    state: Any = checkpoint
    for key in ('state_dict', 'model'):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    name = name or 'The checkpoint'
    found = dict(state) if isinstance(state, Mapping) else {}
    if not any(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(f'{name} holds no weights of a model.')
    strange = [
        f'{key}: {kind}' for key, value in found.items() if (kind := _strange(value))
    ]
    if strange:
        lines = list_names('neither plain tensors', strange)
        raise CheckpointError('\n'.join([f'{name} holds more than weights:', *lines]))
    weights: dict[str, Tensor] = {}
    for key, value in found.items():
        short = str(key).removeprefix('module.')
        if short in weights:
            raise CheckpointError(
                f'{name} holds {printable(short)} twice, with "module." too.'
            )
        weights[short] = value.detach()  # without what a file has tied to it
    return weights


def _strange(value: Any) -> str:
    """Say why a value cannot be the weights of a model; empty if it can."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    if type(value) not in (Tensor, nn.Parameter):
        return type(value).__name__
    if value.is_meta:
        return 'a tensor without values (meta)'
    if value.is_nested or value.layout != torch.strided:
        return f'a tensor of layout {str(value.layout).removeprefix("torch.")}'
    if value.is_quantized or value.is_complex():
        return f'a tensor of type {str(value.dtype).removeprefix("torch.")}'
    return ''


def load_checkpoint(
    model: nn.Module,
    path: str | Path,
    *,
    allow_missing: Sequence[str] = (),
    trust_checkpoint: bool = False,
) -> dict[str, Any]:
    """Load the weights of a file into a model; every name and shape must fit.

    Args:
        model: Changed in place, or not at all if the file is refused.
        path: See :func:`read_checkpoint`.
        allow_missing: Prefixes of names that the file may lack, such as
            ``'text_classifier.clip.'``; these keep the weights they have.
        trust_checkpoint: See :func:`read_checkpoint`.

    Returns:
        The checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is unsafe or damaged, or its weights are those of
            another model; the message lists what does not match.
    """
    checkpoint = read_checkpoint(path, trust_checkpoint=trust_checkpoint)
    load_state_dict(
        model,
        get_state_dict(checkpoint, str(path)),
        name=str(path),
        allow_missing=allow_missing,
    )
    return checkpoint


def load_state_dict(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    name: str,
    allow_missing: Sequence[str] = (),
) -> None:
    """Load weights if all of them fit; see :func:`load_checkpoint`."""
    check_state_dict(model, state, name=name, allow_missing=allow_missing)
    model.load_state_dict(dict(state), strict=not allow_missing)


def check_state_dict(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    name: str,
    allow_missing: Sequence[str] = (),
) -> None:
    """Refuse weights that do not fit a model; see :func:`load_checkpoint`."""
    own = model.state_dict()
    prefixes = tuple(allow_missing) or ' '
    missing = [k for k in own if k not in state and not k.startswith(prefixes)]
    unexpected = [key for key in state if key not in own]
    shapes = list_other_shapes(own, state)
    if missing or unexpected or shapes:
        lines = [
            f'{name} holds the weights of another model '
            f'({len(state)} names in the file, {len(own)} in {type(model).__name__}):',
            *list_names('other shape', shapes),
            *list_names('missing in the file', missing),
            *list_names('not in the model', unexpected),
            *converter_hint(unexpected),
        ]
    elif values := list_bad_values(own, state):
        lines = [f'{name} holds weights that cannot be used:', *values]
    else:
        return
    raise CheckpointError('\n'.join(lines))


def list_other_shapes(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> list[str]:
    """Describe the weights of a file that have another shape in the model."""
    return [
        f'{key}: {tuple(state[key].shape)} in the file, {tuple(own[key].shape)} here'
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]


def list_bad_values(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> list[str]:
    """Describe the weights of a file that the model cannot hold, in lines of text.

    Args:
        own: Weights of the model, of any floating type, and its integer buffers.
        state: Weights of a file, of the same shapes.
    """
    kinds, values = [], []
    for key, value in state.items():
        target = own.get(key)
        if target is None:
            continue
        kind = f'{key}: {value.dtype} in the file, {target.dtype} here'
        if not target.is_floating_point():
            back = value.to(target.dtype).to(value.dtype)
            if not torch.equal(back, value):
                kinds.append(kind.replace('torch.', ''))
        elif not value.is_floating_point():
            kinds.append(kind.replace('torch.', ''))
        elif bad := count_not_finite(value, target):
            values.append(f'{key}: {bad} of {value.numel()}')
    title = 'NaN or infinite, as after a training that diverged'
    return [*list_names('other type', kinds), *list_names(title, values)]


def count_not_finite(value: Tensor, target: Tensor | None = None) -> int:
    """Count the values that are NaN or infinite, but for those of the model itself.

    Args:
        value: Of a file.
        target: The model's own, which may have such values (masks of attention), and
            whose type may not reach as far.
    """
    if target is not None:
        value = value.to(target.dtype)
    if math.isfinite(value.sum(dtype=torch.float64)):  # one pass, and no copy
        return 0
    bad = ~value.isfinite()
    if target is not None and not target.is_meta:
        bad &= target.isfinite().to(bad.device)
    return int(bad.sum())


def converter_hint(names: Iterable[str]) -> Iterable[str]:
    """Yield a line that names the converter, if names are those of an official file."""
    names = list(names)
    for tool, starts in CONVERTERS.items():
        if any(name.startswith(starts) for name in names):
            yield (
                'It looks like an official file: convert it '
                f'(tools/model_converters/{tool}).'
            )


def list_names(title: str, names: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a list for an error message, cut if it is long."""
    if names:
        yield f'  {title} ({len(names)}):'
        yield from (f'    {printable(name)}' for name in names[:MAX_NAMES])
    if len(names) > MAX_NAMES:
        yield f'    ... and {len(names) - MAX_NAMES} more'
