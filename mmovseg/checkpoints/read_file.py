"""Read checkpoint files of every format without running code in them."""

from __future__ import annotations

import io
import pickle
import re
import stat
import threading
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .safe_pickle import IN_TORCH_FILES, ArrayUnpickler, restore

# torch keeps one list of what may be unpickled, for all threads.
_LOCK = threading.Lock()
# How a file of torch.save starts that is no zip file (PyTorch 1.5 and older).
_OLD_TORCH = b'\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'
_MAX_HEADER = 100_000_001  # of a file of safetensors
_MAX_GROWTH = 20  # of a zip file when unpacked; torch.save does not compress
_OTHER_FILES = (
    (b'version https://git-lfs', 'a pointer of Git LFS: fetch the file (git lfs pull)'),
    (b'<', 'a page of the web: look for the link of the file itself'),
    (b'\x89HDF', 'a file of HDF5'),
    (b'GGUF', 'a file of GGUF'),
    (b'\x1f\x8b', 'compressed: unpack it (gzip -d)'),
)


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names it."""


def read_file(path: Path, name: str, *, trust: bool = False) -> Any:
    """Read a local file onto the CPU; its format is what it holds, not its name.

    Args:
        path: A file of safetensors, of ``torch.save``, or a pickle of arrays.
        name: What the user calls it, for messages.
        trust: Unpickle whatever it holds.

    Returns:
        What the file holds; the weights of a whole model instead of the model. No
        tensor depends on the file any more.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is damaged, of another format, or needs trust.
    """
    kind = _find_format(path, name)
    try:
        if kind == 'safetensors':
            from safetensors.torch import load_file

            # Mapped from the file, which may change later.
            return {key: value.clone() for key, value in load_file(path).items()}
        if trust:
            warnings.warn(f'Unpickling {name}, which can run any code.', stacklevel=3)
        if kind == 'pickle':
            return _read_arrays(path, trust)
        return _read_torch_file(path, trust)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(name, str(error))) from None
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(
            f'{name} is damaged or no checkpoint ({type(error).__name__}: {error}).'
        ) from error


def _find_format(path: Path, name: str) -> str:
    try:
        status = path.stat()
    except OSError as error:
        raise FileNotFoundError(f'Checkpoint {name} does not exist.') from error
    if not stat.S_ISREG(status.st_mode):
        what = 'a folder' if stat.S_ISDIR(status.st_mode) else 'no regular file'
        raise CheckpointError(f'Checkpoint {name} is {what}.')
    if status.st_size == 0:
        raise CheckpointError(f'Checkpoint {name} is empty.')
    with path.open('rb') as file:
        start = file.read(64)
    if start[8:9] == b'{' and int.from_bytes(start[:8], 'little') < _MAX_HEADER:
        return 'safetensors'
    if start[:2] == b'PK':
        _check_zip(path, name, status.st_size)
        return 'torch'
    if start[:1] == b'\x80':
        return 'torch' if _OLD_TORCH in start else 'pickle'
    found = [what for magic, what in _OTHER_FILES if start.lstrip().startswith(magic)]
    what = found[0] if found else 'neither torch.save, safetensors nor a pickle'
    raise CheckpointError(f'{name} is no checkpoint: {what}.')


def _check_zip(path: Path, name: str, size: int) -> None:
    try:
        with zipfile.ZipFile(path) as file:
            parts = file.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise CheckpointError(f'{name} is damaged or cut short ({error}).') from error
    names = [part.filename.split('/', 1)[-1] for part in parts]
    if 'constants.pkl' in names:
        raise CheckpointError(
            f'{name} is refused: it is a program of TorchScript. Save the weights '
            'instead: torch.save(torch.jit.load(path).state_dict(), new_path).'
        )
    if 'data.pkl' not in names:
        raise CheckpointError(f'{name} is no checkpoint: a zip file, but no weights.')
    if sum(part.file_size for part in parts) > _MAX_GROWTH * size:
        raise CheckpointError(f'{name} is refused: it unpacks to {_MAX_GROWTH} times.')


def _read_torch_file(path: Path, trust: bool) -> Any:
    if trust:
        content = torch.load(path, map_location='cpu', weights_only=False)
        return _weights_of_modules(content)
    allowed: list[Any] = [(stand_in, key) for key, stand_in in IN_TORCH_FILES.items()]
    with _LOCK, torch.serialization.safe_globals(allowed):
        content = torch.load(path, map_location='cpu', weights_only=True)
    return restore(content)


def _weights_of_modules(content: Any) -> Any:
    if isinstance(content, nn.Module):
        return dict(state_dict=content.state_dict())
    for key in ('state_dict', 'model'):
        if isinstance(content, dict) and isinstance(content.get(key), nn.Module):
            content[key] = content[key].state_dict()
    return content


def _read_arrays(path: Path, trust: bool) -> Any:
    """Read a plain pickle of numpy arrays as tensors."""
    # From memory: a file may name blocks that are larger than itself.
    file = io.BytesIO(path.read_bytes())
    reader = pickle.Unpickler if trust else ArrayUnpickler
    content = reader(file, encoding='latin1').load()  # arrays of Python 2 too
    if not trust:
        content = restore(content)
    found: dict[int, Any] = {}

    def to_tensors(value: Any) -> Any:
        if isinstance(value, dict) and id(value) not in found:
            found[id(value)] = new = {}  # type: ignore[var-annotated]
            new.update((key, to_tensors(item)) for key, item in value.items())
        if isinstance(value, dict):
            return found[id(value)]
        is_numbers = isinstance(value, np.ndarray) and value.dtype.kind in 'biufc'
        return torch.from_numpy(value.copy()) if is_numbers else value

    return to_tensors(content)


def _refusal(name: str, reason: str) -> str:
    found = re.search(r'GLOBAL (\S+)', reason)
    if found is None:
        return f'{name} is refused: it is damaged, or made to do harm ({reason}).'
    return (
        f'{name} is refused: it holds Python objects ({found[1]}), which can run code '
        'while being loaded. If you trust where it comes from, save its weights as a '
        "file of their own: read_checkpoint('old.pth', trust_checkpoint=True) of "
        "mmovseg.apis, then torch.save(checkpoint['state_dict'], 'new.pth'). Some "
        'commands take it as it is: --trust-checkpoint.'
    )
