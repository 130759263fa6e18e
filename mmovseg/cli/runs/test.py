"""Evaluate a model."""

from __future__ import annotations

import argparse
import os.path as osp

import torch
from mmengine.config import Config
from mmengine.evaluator import DumpResults
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ...analysis.result_drawing_hook import ResultDrawingHook
from ...analysis.run_card import PRETRAINED, hash_config, to_plain
from ...analysis.run_card_hook import RunCardHook
from ...apis.checkpoint import (
    find_checkpoint,
    get_state_dict,
    load_state_dict,
    read_checkpoint,
)
from ...apis.config import packaged_towers, without_downloads
from ...apis.fast_mode import make_fast
from ...apis.runtime import (
    adapt_to_device,
    leave_process_group,
    load_run_config,
    parse_options,
)
from ...command_line import exit_on_error, messages_on_stderr, print_json
from ...registry import MODELS


def build_config(args: argparse.Namespace) -> tuple[Config, RunCardHook]:
    """Return the config of a command line, and what writes the run card."""
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
    if args.checkpoint != PRETRAINED:
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


def overlap(cfg: Config) -> None:
    """Let metrics run beside the model, and copies to the GPU beside the host."""
    metrics = cfg.test_evaluator
    cfg.test_evaluator = dict(type='BackgroundEvaluator', metrics=metrics)
    if torch.cuda.is_available():
        cfg.test_dataloader.pin_memory = True
        cfg.model.data_preprocessor.non_blocking = True


def build_runner(args: argparse.Namespace) -> tuple[Runner, RunCardHook]:
    """Build what can be wrong, so that mistakes end before the evaluation starts."""
    state = None
    if args.checkpoint != PRETRAINED:
        args.checkpoint = find_checkpoint(args.checkpoint)
        # Read first: a file that is refused should not cost a minute of building.
        checkpoint = read_checkpoint(
            args.checkpoint, trust_checkpoint=args.trust_checkpoint
        )
        state = get_state_dict(checkpoint, args.checkpoint)
    cfg, card = build_config(args)
    kind = MODELS.get(cfg.model.type)
    if state is None and not getattr(kind, 'needs_no_training', False):
        raise ValueError(
            f'{args.config} is trained: it needs a checkpoint, not {PRETRAINED!r}.'
        )
    runner = Runner.from_cfg(cfg)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if state is not None:
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
    return runner, card


def run(args: argparse.Namespace) -> int:
    """Evaluate; return the exit status."""
    with messages_on_stderr(args.json):
        with exit_on_error(TypeError):
            runner, card = build_runner(args)
        with exit_on_error():  # a photo that is missing, annotations that do not fit
            runner.test()
        leave_process_group()
    if args.json and card.content is not None:  # the first process has it
        print_json(to_plain(card.content))
    return 0
