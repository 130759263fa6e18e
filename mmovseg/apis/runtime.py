"""What tools/train.py and tools/test.py share: configs and devices."""

from __future__ import annotations

import ctypes
import datetime
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.logging import print_log

from ..checkpoints import use_safe_checkpoints
from ..fileio import did_you_mean
from ..openmmlab import import_openmmlab
from .config import RUNNER_KEYS, load_config, parse_options

__all__ = [
    'adapt_to_device',
    'is_first_process',
    'keep_freed_memory',
    'leave_process_group',
    'load_run_config',
    'parse_options',
    'use_safe_checkpoints',
]
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


def load_run_config(
    config: str, options: Sequence[str] | Mapping[str, Any] | None = None
) -> Config:
    """Load a config with command-line options, and check both.

    Args:
        config: Config file, or the name of a packaged one.
        options: ``--cfg-options``: words, or dotted keys to values.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If a key of the config is misspelt, or an option starts with a key
            that neither the config nor the runner has.
        MissingPackageError: If mmcv, mmdet or mmseg is not installed.
    """
    if options and not isinstance(options, Mapping):
        options = parse_options(options)
    known = {*load_config(config), *RUNNER_KEYS, 'sync_bn', 'find_unused_parameters'}
    for option in options or ():
        key = option.split('.')[0]
        if key not in known:
            hint = did_you_mean(key, known)
            raise ValueError(f'--cfg-options {option}: no such key in {config}.{hint}')
    cfg = load_config(config, options)
    import_openmmlab(
        'mmdet.datasets', 'mmseg.datasets', need='Training and evaluation need'
    )
    return cfg


def keep_freed_memory() -> None:
    """Let this process keep freed memory for its next tensors, with glibc on a CPU.

    A training step frees large tensors and makes others of the same sizes. By default
    glibc gives these back to the system each time, which then clears every page anew.
    Does nothing where there is an accelerator, or another C library.
    """
    if get_device() != 'cpu' or platform.libc_ver()[0] != 'glibc':
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(-3, 2**30)  # M_MMAP_THRESHOLD: take more than that from the system
    libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: keep this much


def adapt_to_device(cfg: Config) -> None:
    """Change a config made for GPUs so that it runs where there is none.

    Without an accelerator it switches to the gloo backend, starts the processes'
    group (MMEngine's own start selects a CUDA device), passes DistributedDataParallel
    no device ids, and drops ``sync_bn``, which has no CPU implementation. Does
    nothing where there is an accelerator.

    Raises:
        ValueError: If the config asks for float16 on a CPU, or if the launcher's
            environment variables are missing.
    """
    if get_device() != 'cpu':
        return
    if cfg.get('optim_wrapper', {}).get('type') == 'AmpOptimWrapper':
        raise ValueError(
            'Mixed precision in float16 (AmpOptimWrapper) needs a GPU; on a CPU use '
            'bfloat16 (--amp bf16, BFloat16OptimWrapper).'
        )
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
            'There is no GPU: sync_bn is ignored, so every process normalizes with '
            'the statistics of its own samples.',
            logger='current',
        )


def is_first_process(launcher: str) -> bool:
    """Return whether this is the first process of a run, before they are connected."""
    names = _LAUNCHER_VARIABLES.get(launcher)
    return names is None or int(os.environ.get(names[0], 0)) == 0


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


def leave_process_group() -> None:
    """End what the processes of a run share; does nothing in a run of one process.

    Without it gloo's threads may still run when a process ends, which then aborts
    although all its work is done.
    """
    if is_distributed():
        torch.distributed.barrier()  # or a slower process would miss a faster one
        torch.distributed.destroy_process_group()
