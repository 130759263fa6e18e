"""Text matrices in memory and on disk, shared by threads and by processes."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ...fileio import cache_folder, write_atomic

_warned: set[str] = set()


class MemoryCache:
    """Keep what was used last, for any number of threads.

    A copy has the same values at first, and then its own.

    Args:
        size: Values kept; the one not used for longest goes.
    """

    def __init__(self, size: int) -> None:
        self.__setstate__((size, OrderedDict()))

    def __getstate__(self) -> tuple[int, OrderedDict]:
        with self._lock:
            return self.size, OrderedDict(self._values)

    def __setstate__(self, state: tuple[int, OrderedDict]) -> None:
        self.size, self._values = state
        self._lock = threading.Lock()  # of the values
        self._making = threading.Lock()

    def get(self, key: Hashable) -> Any | None:
        """Return a value, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Hashable, value: Any) -> None:
        """Keep a value."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self.size:
                self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget all values."""
        with self._lock:
            self._values.clear()

    def get_or_make(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return a value; one thread makes it while others that need it wait.

        Args:
            key: Of the value.
            make: Called without arguments where there is no value.
        """
        value = self.get(key)
        if value is None:
            with self._making:
                value = self.get(key)
                if value is None:
                    value = make()
                    self.put(key, value)
        return value


def default_cache_dir() -> Path | None:
    """Return ``$MMOVSEG_CACHE/text``, or ``~/.cache/mmovseg/text`` if it is not set.

    Returns:
        A folder that may not exist yet. None, with a warning, if the user has no home
        folder, as in a container with an arbitrary user id.
    """
    folder = cache_folder('text')
    if folder is None:
        _warn_once('home', 'Text embeddings are not cached: there is no home folder.')
    return folder


def _warn_once(key: str, message: str) -> None:
    """Warn about a place once; every vocabulary would repeat it."""
    if key not in _warned:
        _warned.add(key)
        advice = 'Set MMOVSEG_CACHE to a folder that can be written.'
        warnings.warn(f'{message} {advice}', stacklevel=3)


def read_matrix(path: Path, shape: tuple[int, int]) -> Tensor | None:
    """Read a cached matrix, or return None if there is none that can be used.

    Args:
        path: A file written by :func:`write_matrix`.
        shape: The expected ``(V, D)``.

    Returns:
        float32, ``shape``, on the CPU. None if there is no such file, or it cannot be
        read. None, with a warning, if it is truncated, altered or of another shape.
    """
    try:
        tensors = load(path.read_bytes())
    except OSError:
        return None  # the attempt to write it warns
    except SafetensorError as error:
        warnings.warn(f'Ignoring cached text embeddings {path}: {error}', stacklevel=2)
        return None
    weight = tensors.get('weight')
    if (
        weight is None
        or tuple(weight.shape) != shape
        or weight.dtype != torch.float32
        or not torch.equal(tensors.get('sha256', weight), _checksum(weight))
    ):
        warnings.warn(
            f'Ignoring cached text embeddings {path}: the content is damaged.',
            stacklevel=2,
        )
        return None
    return weight


def write_matrix(path: Path, weight: Tensor) -> None:
    """Write a matrix so that no reader ever sees half of it.

    A failure (a full disk, a folder without permission) only warns: the cache saves
    time, and nothing depends on it.

    Args:
        path: Target file; missing folders are made.
        weight: float32, ``[V, D]``.
    """
    weight = weight.detach().cpu().contiguous()
    try:
        write_atomic(path, save({'weight': weight, 'sha256': _checksum(weight)}))
    except OSError as error:
        folder = str(path.parent)
        _warn_once(folder, f'Text embeddings are not cached in {folder}: {error}.')


class PartCache:
    """Keep parts of a matrix on disk until the whole of it is there.

    Args:
        path: File of the whole; those of its parts lie next to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, index: int, shape: tuple[int, int]) -> Tensor | None:
        """Return a part, or None; see :func:`read_matrix`."""
        return read_matrix(self._find(index), shape)

    def write(self, index: int, rows: Tensor) -> None:
        """Keep a part; see :func:`write_matrix`."""
        write_matrix(self._find(index), rows)

    def clear(self) -> None:
        """Remove all parts, when the whole has been written."""
        if self.path.is_file():
            for part in self.path.parent.glob(f'{self.path.stem}.part*'):
                part.unlink(missing_ok=True)

    def _find(self, index: int) -> Path:
        return self.path.with_suffix(f'.part{index}{self.path.suffix}')


def hash_tensor(digest: hashlib._Hash, tensor: Tensor) -> None:
    """Feed the bytes of a tensor of any dtype into a hash."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    if flat.dtype == torch.bfloat16:  # which NumPy lacks
        flat = flat.view(torch.int16)
    # Seen as bytes by NumPy: a trace of TorchScript has no place for such a view.
    digest.update(flat.numpy().view('uint8').data)


def _checksum(weight: Tensor) -> Tensor:
    digest = hashlib.sha256()
    hash_tensor(digest, weight)
    return torch.tensor(list(digest.digest()), dtype=torch.uint8)  # [32]
