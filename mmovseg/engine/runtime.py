"""What tools/train.py and tools/test.py share: configs, devices, checkpoints."""

from __future__ import annotations

import datetime
import difflib
import inspect
import os
import os.path as osp
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import CheckpointLoader, Runner

# Read from the config by the runner, besides its constructor's arguments.
_RUNNER_KEYS = {
    *('activation_checkpointing', 'compile', 'default_scope', 'efficient_conv_bn_eval'),
    *('find_unused_parameters', 'model_wrapper_cfg', 'sync_bn', 'tta_model'),
    *inspect.signature(Runner.__init__).parameters,
} - {'self', 'cfg'}

# Rank, world size and local rank as each launcher passes them.
_LAUNCHER_VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': (
        'OMPI_COMM_WORLD_RANK',
        'OMPI_COMM_WORLD_SIZE',
        'OMPI_COMM_WORLD_LOCAL_RANK',
    ),
}


def load_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """Read a config, apply command-line options and check its top-level keys.

    Args:
        path: Config file.
        options: ``--cfg-options``, dotted keys to values.

    Raises:
        FileNotFoundError: If there is no such file.
        KeyError: If an option starts with a key that neither the config nor the
            runner has.
        ValueError: If a top-level key looks like a misspelt one of the runner.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'There is no config {path!r}.')
    cfg = Config.fromfile(path)
    for option in options or {}:
        key = option.split('.')[0]
        if key not in cfg and key not in _RUNNER_KEYS:
            raise KeyError(
                f'--cfg-options {option}: {path} has no key {key!r}.'
                + _suggest(key, {*cfg, *_RUNNER_KEYS})
            )
    cfg.merge_from_dict(options or {})
    for key in cfg:
        # Helper variables of a config are free to have any name, so only what is
        # almost a name of the runner is refused; it would be ignored silently.
        if key not in _RUNNER_KEYS and (hint := _suggest(key, _RUNNER_KEYS)):
            raise ValueError(f'{path}: unknown key {key!r}.{hint}')
    return cfg


def _suggest(key: str, known: set[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    return f' Did you mean {close[0]!r}?' if close else ''


def adapt_to_device(cfg: Config) -> None:
    """Change a config made for GPUs so that it runs where there is none.

    Without an accelerator it switches to the gloo backend, starts the processes'
    group (MMEngine's own start selects a CUDA device), passes DistributedDataParallel
    no device ids, and drops ``sync_bn``, which has no CPU implementation. Does
    nothing where there is an accelerator.

    Raises:
        ValueError: If the config asks for mixed precision on a CPU, or if the
            launcher's environment variables are missing.
    """
    if get_device() != 'cpu':
        return
    if cfg.get('optim_wrapper', {}).get('type') == 'AmpOptimWrapper':
        raise ValueError('Mixed precision (--amp, AmpOptimWrapper) needs a GPU.')
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none':
        return
    dist_cfg = cfg.get('env_cfg', {}).get('dist_cfg', {})
    dist_cfg['backend'] = 'gloo'
    if not is_distributed():
        _init_gloo(launcher, dist_cfg.get('timeout', 1800))
    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    cfg.model_wrapper_cfg = dict(wrapper, device_ids=None)
    if cfg.pop('sync_bn', None) is not None:
        print_log(
            'There is no GPU: sync_bn is ignored, so every process normalises with '
            'the statistics of its own samples.',
            logger='current',
        )


def _init_gloo(launcher: str, timeout: float) -> None:
    names = _LAUNCHER_VARIABLES[launcher]
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ValueError(
            f'--launcher {launcher} needs the environment variables {missing}: start '
            'the program with tools/dist_*.sh or tools/slurm_*.sh.'
        )
    rank, world_size, local_rank = (int(os.environ[name]) for name in names)
    os.environ['LOCAL_RANK'] = str(local_rank)
    os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
    os.environ.setdefault('MASTER_PORT', '29500')
    torch.distributed.init_process_group(
        'gloo',
        rank=rank,
        world_size=world_size,
        timeout=datetime.timedelta(seconds=timeout),
    )


def use_safe_checkpoints() -> None:
    """Make MMEngine read local checkpoints without executing code from them.

    MMEngine's own loader falls back to a full unpickle, with a warning, when a file
    holds anything but tensors and known types.
    """
    CheckpointLoader.register_scheme('', load_local_checkpoint, force=True)


def load_local_checkpoint(
    filename: str | Path, map_location: Any = None
) -> dict[str, Any]:
    """Read a checkpoint of MMEngine's runner, weights-only.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, or holds more than tensors, plain data
            and what MMEngine's runner saves.
    """
    filename = osp.expanduser(filename)
    if not osp.isfile(filename):
        raise FileNotFoundError(f'There is no checkpoint {filename!r}.')
    try:
        with torch.serialization.safe_globals(_runner_globals()):
            return torch.load(filename, map_location=map_location, weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            f'{filename} is refused: it holds more than weights and plain data, or is '
            f'no checkpoint. {str(error).splitlines()[0]}'
        ) from error
    except (RuntimeError, EOFError) as error:
        raise ValueError(
            f'{filename} is damaged or no checkpoint: {str(error).splitlines()[0]}'
        ) from error


def _runner_globals() -> list[Any]:
    """Return what a runner's checkpoint refers to: its logged scalars' history."""
    core = np._core if hasattr(np, '_core') else np.core
    dtypes = {type(np.dtype(name)) for name in ('f4', 'f8', 'i4', 'i8', 'u4', 'u8')}
    multiarray = core.multiarray
    return [
        *(HistoryBuffer, np.ndarray, np.dtype, *dtypes),
        *(multiarray._reconstruct, multiarray.scalar),
        getattr,  # HistoryBuffer's state names its own methods by it
    ]
