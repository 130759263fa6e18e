"""Train a model: CONFIG, or dist_train.sh of tools on several GPUs."""

from __future__ import annotations

import argparse
import os

from .options import add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
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
    add_json(parser)
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # Passed by older versions of torch.distributed.launch.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the options together."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
