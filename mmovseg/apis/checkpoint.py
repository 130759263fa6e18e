"""Read checkpoints without running code in them, and load them whole or not at all."""

from __future__ import annotations

import codecs
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.fileio import get_local_path
from mmengine.logging import HistoryBuffer
from torch import Tensor, nn

# What stands for a file that comes with the package. Towers that are packaged too are
# not in it; tools/shapeworld/export_checkpoint.py makes it.
PACKAGED = {
    'shapeworld': Path(__file__).parents[1]
    / 'models/tiny_eovseg/eovseg_tiny_shapeworld.safetensors'
}
MAX_NAMES = 10  # of each kind in an error message
# Converters, and starts of names that only the official files have.
CONVERTERS = {
    'eovseg_to_mmovseg.py': ('light_weight_decoder.',),
    'deop_to_mmovseg.py': ('sem_seg_head.', 'clip_adapter.', 'stem.conv1.'),
}


def find_checkpoint(name: str | Path) -> str:
    """Return the file that a name of a packaged checkpoint stands for, or the name.

    Raises:
        FileNotFoundError: If the packaged file is missing.
    """
    path = PACKAGED.get(str(name))
    if path is None:
        return str(name)
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
        path: A ``.safetensors`` file, a file written by ``torch.save`` (MMEngine's
            runner included), a ``.pkl`` file of numpy arrays (detectron2's model zoo),
            a URL of these, or ``'shapeworld'``, the packaged checkpoint.
        trust_checkpoint: Unpickle whatever the file holds. Such a file can run any
            code: only for files of people you trust.

    Returns:
        What the file holds.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, is no checkpoint, or needs trust.
    """
    path = find_checkpoint(path)
    with get_local_path(path) as local:
        return _read(Path(local), path, trust_checkpoint)


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
    state = checkpoint
    for key in ('state_dict', 'model'):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    found = dict(state) if isinstance(state, Mapping) else {}
    if not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f'{name or "The checkpoint"} holds no weights of a model.')
    return {str(key).removeprefix('module.'): value for key, value in found.items()}


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
    own = model.state_dict()
    prefixes = tuple(allow_missing)
    missing = [k for k in own if k not in state and not k.startswith(prefixes or ' ')]
    unexpected = [key for key in state if key not in own]
    shapes = list_other_shapes(own, state)
    if not (missing or unexpected or shapes):
        model.load_state_dict(dict(state), strict=not prefixes)
        return
    lines = [
        f'{name} holds the weights of another model '
        f'({len(state)} names in the file, {len(own)} in {type(model).__name__}):',
        *list_names('other shape', shapes),
        *list_names('missing in the file', missing),
        *list_names('not in the model', unexpected),
        *converter_hint(unexpected),
    ]
    raise ValueError('\n'.join(lines))


def list_other_shapes(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> list[str]:
    """Describe the weights of a file that have another shape in the model."""
    return [
        f'{key}: {tuple(state[key].shape)} in the file, {tuple(own[key].shape)} here'
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]


def converter_hint(names: Iterable[str]) -> Iterable[str]:
    """Yield a line that names the converter, if names are those of an official file."""
    names = list(names)
    for tool, starts in CONVERTERS.items():
        if any(name.startswith(starts) for name in names):
            yield (
                'It looks like an official file: convert it '
                f'(tools/model_converters/{tool}).'
            )


def list_names(title: str, names: Sequence[str]) -> Iterable[str]:
    """Yield the lines of a list for an error message, cut if it is long."""
    if names:
        yield f'  {title} ({len(names)}):'
        yield from (f'    {name}' for name in names[:MAX_NAMES])
    if len(names) > MAX_NAMES:
        yield f'    ... and {len(names) - MAX_NAMES} more'


def _read(path: Path, name: str, trust: bool) -> dict[str, Any]:
    """Read a local file; ``name`` is what the user called it."""
    if not path.is_file():
        raise FileNotFoundError(f'Checkpoint {name} does not exist.')
    if path.stat().st_size == 0:
        raise ValueError(f'Checkpoint {name} is empty.')
    with path.open('rb') as file:
        magic = file.read(2)
    if path.suffix != '.safetensors' and magic != b'PK' and magic[:1] != b'\x80':
        raise ValueError(f'{name} is no checkpoint: neither torch.save nor a pickle.')
    try:
        if path.suffix == '.safetensors':
            from safetensors.torch import load_file

            return load_file(path)
        if path.suffix == '.pkl':
            return _read_arrays(path, trust)
        if trust:
            warnings.warn(f'Unpickling {name}, which can run any code.', stacklevel=3)
            return torch.load(path, map_location='cpu', weights_only=False)
        with torch.serialization.safe_globals(_safe_globals()):
            return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r'GLOBAL (\S+)', str(error))
        what = f' ({found[1]})' if found else ''
        raise ValueError(
            f'{name} is refused: it holds Python objects{what}, which can run code '
            'while being loaded. If you trust where it comes from, pass '
            'trust_checkpoint=True (demo/image_demo.py: --trust-checkpoint).'
        ) from None
    except Exception as error:  # a damaged file can raise anything
        raise ValueError(
            f'{name} is damaged or no checkpoint ({type(error).__name__}: {error}).'
        ) from error


def _read_arrays(path: Path, trust: bool) -> Any:
    """Read a plain pickle of numpy arrays as tensors."""
    with path.open('rb') as file:
        # latin1: arrays that Python 2 has pickled.
        reader = pickle.Unpickler if trust else _ArrayUnpickler
        content = reader(file, encoding='latin1').load()

    def to_tensors(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: to_tensors(item) for key, item in value.items()}
        is_array = isinstance(value, np.ndarray) and value.dtype != object
        return torch.from_numpy(value.copy()) if is_array else value

    return to_tensors(content)


class _ArrayUnpickler(pickle.Unpickler):
    """Refuse everything but dicts, plain values and numpy arrays."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickled array is rebuilt with."""
        core = np._core if hasattr(np, '_core') else np.core
        allowed = {
            ('_codecs', 'encode'): codecs.encode,
            ('collections', 'OrderedDict'): OrderedDict,
            ('numpy', 'dtype'): np.dtype,
            ('numpy', 'ndarray'): np.ndarray,
            ('numpy.core.multiarray', '_reconstruct'): core.multiarray._reconstruct,
            ('numpy.core.multiarray', 'scalar'): core.multiarray.scalar,
        }
        found = allowed.get((module.replace('numpy._core', 'numpy.core'), name))
        if found is None:
            raise pickle.UnpicklingError(f'Unsupported: GLOBAL {module}.{name}')
        return found


def _safe_globals() -> list[Any]:
    """What MMEngine's runner puts into checkpoints besides tensors."""
    core = np._core if hasattr(np, '_core') else np.core
    functions = [core.multiarray._reconstruct, core.multiarray.scalar]
    dtypes = {type(np.dtype(x)) for x in '?bhilqBHILQefdSU'}
    allowed: list[Any] = [HistoryBuffer, np.ndarray, np.dtype, *functions, *dtypes]
    # A checkpoint may have been written under the other major version of numpy.
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed += [
            (function, f'{module}.{function.__name__}') for function in functions
        ]
    # HistoryBuffer pickles its own methods by getattr; nothing else may be fetched.
    allowed.append((_get_history_method, 'builtins.getattr'))
    allowed.append((_get_history_method, '__builtin__.getattr'))
    return allowed


def _get_history_method(owner: Any, name: str) -> Any:
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError('Unsupported: GLOBAL builtins.getattr')
    return getattr(owner, name)
