"""Evaluate a model: tools/test.py CONFIG CHECKPOINT [options]; see dist_test.sh.

Writes all metrics, the speed and what was run to results.json in the work folder.
"""

import argparse
import os
import os.path as osp

from mmovseg.command_line import FAST_PARTS, exit_on_error, output_file


def parse_args():
    parser = argparse.ArgumentParser(description='Evaluate a model.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help="file, or 'shapeworld': packaged")
    parser.add_argument('--work-dir', help='folder of logs [work_dirs/<config name>]')
    parser.add_argument(
        '--out', type=output_file, metavar='FILE.pkl', help='write all predictions here'
    )
    parser.add_argument('--show', action='store_true', help='show the results')
    parser.add_argument('--show-dir', help='folder for pictures of the results')
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read a checkpoint that holds more than weights; it can run any code',
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        metavar='N',
        help='images per step and process, of one aspect ratio where there are enough '
        "[the config's, in its order]",
    )
    parser.add_argument(
        '--fast',
        nargs='*',
        metavar='PART',
        help='fast mode, whose results differ a little: the parts that the device '
        f'has, or some of {", ".join(FAST_PARTS)} (docs/performance.md)',
    )
    parser.add_argument(
        '--plain',
        action='store_true',
        help='run every operation as its formula says: slower, with more memory, and '
        'nearest to the released code',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override config values, e.g. model.test_vocabulary=my_names.txt',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # Passed by older versions of torch.distributed.launch.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    if args.out and args.out.suffix not in ('.pkl', '.pickle'):
        parser.error(f'--out must end with .pkl or .pickle, got {str(args.out)!r}.')
    if args.batch_size is not None and args.batch_size < 1:
        parser.error(f'--batch-size must be at least 1, got {args.batch_size}.')
    if args.plain and args.fast is not None:
        parser.error('--plain is the opposite of --fast: leave one of both out.')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import torch
from mmengine.evaluator import DumpResults
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmovseg.analysis.result_drawing_hook import ResultDrawingHook
from mmovseg.analysis.run_card import hash_config
from mmovseg.analysis.run_card_hook import RunCardHook
from mmovseg.apis.checkpoint import (
    find_checkpoint,
    get_state_dict,
    load_state_dict,
    read_checkpoint,
)
from mmovseg.apis.config import packaged_towers, without_downloads
from mmovseg.apis.fast_mode import make_fast
from mmovseg.apis.runtime import (
    adapt_to_device,
    leave_process_group,
    load_run_config,
    parse_options,
)


def build_config(args):
    options = parse_options(args.cfg_options or ())
    cfg = load_run_config(args.config, options)
    cfg.launcher = args.launcher
    name = osp.splitext(osp.basename(args.config))[0]
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', name)
    for key in ('test_dataloader', 'test_evaluator', 'test_cfg'):
        if cfg.get(key) is None:
            raise ValueError(
                f'{args.config} has no {key}: there is nothing to evaluate.'
            )
    if args.batch_size is not None:
        cfg.test_dataloader.batch_size = args.batch_size
        cfg.test_dataloader.batch_sampler = dict(type='AspectBatchSampler')
    # What is changed below for this machine is not what the result depends on.
    digest = hash_config(cfg)
    # The checkpoint holds all others, and main loads them only if all of them fit.
    cfg.model = without_downloads(cfg.model)
    cfg.load_from, cfg.resume = None, False
    if args.batch_size is not None:
        overlap(cfg)
    adapt_to_device(cfg)
    card = RunCardHook(
        args.checkpoint, config=name, config_hash=digest, options=options
    )
    return cfg, card


def overlap(cfg):
    """Let metrics run beside the model, and copies to the GPU beside the host."""
    metrics = cfg.test_evaluator
    cfg.test_evaluator = dict(type='BackgroundEvaluator', metrics=metrics)
    if torch.cuda.is_available():
        cfg.test_dataloader.pin_memory = True
        cfg.model.data_preprocessor.non_blocking = True


def build_runner(args):
    """Build what can be wrong, so that mistakes end before the evaluation starts."""
    args.checkpoint = find_checkpoint(args.checkpoint)
    # Read first: a file that is refused should not cost a minute of building.
    checkpoint = read_checkpoint(
        args.checkpoint, trust_checkpoint=args.trust_checkpoint
    )
    state = get_state_dict(checkpoint, args.checkpoint)
    cfg, card = build_config(args)
    runner = Runner.from_cfg(cfg)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    optional = packaged_towers(cfg.model)
    load_state_dict(model, state, name=args.checkpoint, allow_missing=optional)
    # A wrapper keeps all parameters, so nothing would be freed.
    if model is runner.model and hasattr(model, 'drop_text_tower'):
        model.drop_text_tower()
    model.plain = args.plain
    if args.fast is not None:
        make_fast(model.eval(), args.fast or True)
    dataset = runner.test_loop.dataloader.dataset
    if len(dataset) == 0:
        raise ValueError(f'The test set of {args.config} is empty: {dataset!r}')
    if args.show or args.show_dir:
        runner.register_hook(ResultDrawingHook(args.show_dir, show=args.show))
    if args.out:
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=str(args.out)))
    runner.register_hook(card)
    return runner


def main():
    args = parse_args()
    with exit_on_error(TypeError):
        runner = build_runner(args)
    with exit_on_error():  # a photo that is missing, annotations that do not fit
        runner.test()
    leave_process_group()


if __name__ == '__main__':
    main()
