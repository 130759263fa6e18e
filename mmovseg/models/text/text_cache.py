"""Text matrices on disk: shared by processes, never trusted blindly."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ...fileio import write_atomic


def default_cache_dir() -> Path:
    """Return ``$MMOVSEG_CACHE/text``, or ``~/.cache/mmovseg/text`` if it is not set."""
    root = os.environ.get('MMOVSEG_CACHE') or Path.home() / '.cache' / 'mmovseg'
    return Path(root) / 'text'


def read_matrix(path: Path, shape: tuple[int, int]) -> Tensor | None:
    """Read a cached matrix, or return None if there is none that can be used.

    Args:
        path: A file written by :func:`write_matrix`.
        shape: The expected ``(V, D)``.

    Returns:
        float32, ``shape``, on the CPU. None, with a warning unless the file is just
        missing, if it is unreadable, truncated, altered or of another shape.
    """
    try:
        tensors = load(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError) as error:
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
        warnings.warn(
            f'Cannot cache text embeddings in {path.parent}: {error}. Set '
            'MMOVSEG_CACHE to a folder that can be written.',
            stacklevel=2,
        )


def hash_tensor(digest: hashlib._Hash, tensor: Tensor) -> None:
    """Feed the bytes of a tensor of any dtype into a hash."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    digest.update(flat.view(torch.uint8).numpy())


def _checksum(weight: Tensor) -> Tensor:
    digest = hashlib.sha256()
    hash_tensor(digest, weight)
    return torch.tensor(list(digest.digest()), dtype=torch.uint8)  # [32]
