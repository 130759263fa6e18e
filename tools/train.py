"""Train a model: tools/train.py CONFIG [options], or tools/dist_train.sh."""

import argparse
import os
import os.path as osp
import sys

from mmovseg.command_line import exit_on_error


def parse_args():
    parser = argparse.ArgumentParser(description='Train a model.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir', help='folder of logs and checkpoints [work_dirs/<config name>]'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint; without a value, from the last one in the '
        'work folder, or from the start if there is none',
    )
    parser.add_argument(
        '--init-from',
        nargs='+',
        metavar='CHECKPOINT',
        help='start from the weights that these files share with the model, such as '
        'those of earlier stages',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='fp16',
        choices=['fp16', 'bf16'],
        help='mixed precision: fp16 with scaled losses (GPU only), or bf16 [fp16]',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by the batch size over the config's "
        'auto_scale_lr.base_batch_size',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override config values, e.g. train_dataloader.batch_size=2',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # Passed by older versions of torch.distributed.launch.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from mmengine.runner import Runner

from mmovseg.apis.init_from import (
    CheckWeightsHook,
    InitFromHook,
    find_shared_weights,
    unwrap,
)
from mmovseg.apis.runtime import (
    adapt_to_device,
    is_first_process,
    leave_process_group,
    load_run_config,
)
from mmovseg.checkpoints import CheckpointError, DownloadError
from mmovseg.engine import WorkDirError, lock_work_dir


def build_config(args):
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


def build_runner(cfg, init_from):
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


def main():
    args = parse_args()
    with exit_on_error(WorkDirError):
        cfg = build_config(args)
        if is_first_process(args.launcher):
            lock_work_dir(cfg.work_dir)
        runner = build_runner(cfg, args.init_from)
    try:
        runner.train()
    except (CheckpointError, DownloadError, WorkDirError) as error:
        sys.exit(f'error: {error}')
    leave_process_group()


if __name__ == '__main__':
    main()
