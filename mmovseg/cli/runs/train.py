"""Train a model."""

from __future__ import annotations

import argparse
import os.path as osp
import sys
import time
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner, find_latest_checkpoint

from ...analysis.run_card import to_plain
from ...apis.init_from import (
    CheckWeightsHook,
    InitFromHook,
    find_shared_weights,
    unwrap,
)
from ...apis.runtime import (
    adapt_to_device,
    is_first_process,
    keep_freed_memory,
    leave_process_group,
    load_run_config,
)
from ...checkpoints import CheckpointError, DownloadError
from ...command_line import exit_on_error, messages_on_stderr, print_json
from ...engine import WorkDirError, lock_work_dir


def build_config(args: argparse.Namespace) -> Config:
    """Return the config of a command line."""
    cfg = load_run_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    name = osp.splitext(osp.basename(args.config))[0]
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', name)
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
        if cfg.get(key) is None:
            raise ValueError(
                f'{args.config} has no {key}: it is for evaluation (tools/test.py).'
            )
    if args.amp == 'bf16':
        cfg.optim_wrapper.type = 'mmovseg.BFloat16OptimWrapper'
    elif args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            raise ValueError(
                f'--auto-scale-lr: {args.config} has no auto_scale_lr.base_batch_size.'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume == 'auto':
        cfg.resume, cfg.load_from = True, None
    elif args.resume is not None:
        cfg.resume, cfg.load_from = True, args.resume
    if args.init_from and cfg.get('load_from'):
        raise ValueError(
            f'--init-from starts a training, but {cfg.load_from!r} is to be loaded '
            '(--resume, load_from): give one of them.'
        )
    path = cfg.get('load_from')
    if path and '://' not in path and not osp.isfile(path):
        option = 'load_from' if args.resume is None else '--resume'
        raise FileNotFoundError(f'{option}: there is no {path!r}.')
    adapt_to_device(cfg)
    return cfg


def build_runner(cfg: Config, init_from: Sequence[str] | None) -> Runner:
    """Build what can be wrong, so that mistakes end before the training starts."""
    runner = Runner.from_cfg(cfg)
    runner.register_hook(CheckWeightsHook())
    if init_from:
        found = find_shared_weights(unwrap(runner.model), init_from)
        runner.register_hook(InitFromHook(*found))
    _ = runner.train_loop
    if cfg.get('val_cfg'):
        _ = runner.val_loop
    return runner


def run(args: argparse.Namespace) -> int:
    """Train; return the exit status."""
    with messages_on_stderr(args.json):
        report = train(args)
    if args.json and report is not None:
        print_json(to_plain(report))
    return 0


def train(args: argparse.Namespace) -> dict[str, Any] | None:
    """Train; return where it has ended, in the first process."""
    start = time.perf_counter()
    keep_freed_memory()
    with exit_on_error(WorkDirError):
        cfg = build_config(args)
        if is_first_process(args.launcher):
            lock_work_dir(cfg.work_dir)
        runner = build_runner(cfg, args.init_from)
    try:
        runner.train()
    except (CheckpointError, DownloadError, WorkDirError) as error:
        sys.exit(f'error: {error}')
    is_first = is_main_process()
    leave_process_group()
    if not is_first:
        return None
    scalars = runner.message_hub.log_scalars
    return dict(
        config=args.config,
        work_dir=runner.work_dir,
        checkpoint=find_latest_checkpoint(runner.work_dir),
        iterations=runner.iter,
        epochs=runner.epoch,
        seconds=round(time.perf_counter() - start, 3),
        metrics={
            name.removeprefix('val/'): value.current()
            for name, value in scalars.items()
            if name.startswith('val/') and 'time' not in name
        },
    )
