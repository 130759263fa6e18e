"""Time training steps on drawn targets: forward pass, backward pass and update.

One step is what MMEngine's loop does for a batch, without reading it; --dtype names
several precisions, which take turns. Weights and text are random, so nothing is
downloaded. benchmark_data.py times the reading.
Example: tools/analysis_tools/benchmark_train.py eovseg_r50_coco --threads 2
"""

import argparse
import logging
import sys
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.structures import BaseDataElement, InstanceData

from mmovseg.analysis.profiling import (
    build_model,
    random_text,
    read_clock,
    wait_passively,
)
from mmovseg.analysis.run_card import describe_place, write_card

WRAPPERS = {
    'float32': 'OptimWrapper',
    'bfloat16': 'mmovseg.BFloat16OptimWrapper',
    'float16': 'AmpOptimWrapper',
}


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config file, or the name of a packaged one')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=[1024, 1024],
        metavar=('H', 'W'),
        help='size of the crops [1024 1024]',
    )
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument(
        '--targets', type=int, default=12, help='segments per image, boxes [12]'
    )
    parser.add_argument(
        '--dtype',
        nargs='+',
        choices=WRAPPERS,
        default=['float32'],
        help='precisions, as of tools/train.py --amp; float16 needs a GPU [float32]',
    )
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    parser.add_argument('--threads', type=int, help='threads of the CPU [all]')
    parser.add_argument('--warmup', type=int, default=1, help='steps not counted [1]')
    parser.add_argument('--repeat', type=int, default=5, help='steps counted [5]')
    parser.add_argument(
        '--out', type=Path, help='write the seconds of all steps to this JSON file'
    )
    args = parser.parse_args()
    if any(x < 32 or x % 32 for x in args.shape):
        parser.error(f'--shape must be positive multiples of 32, got {args.shape}.')
    if min(args.batch_size, args.targets, args.repeat) < 1 or args.warmup < 0:
        parser.error(
            '--batch-size, --targets and --repeat must be at least 1, --warmup 0.'
        )
    if 'float16' in args.dtype and torch.device(args.device).type != 'cuda':
        parser.error('--dtype float16 needs a GPU: take bfloat16.')
    return args


def build(dtype, args):
    """Return a model in training mode, whose text is given, and its optimizer."""
    torch.manual_seed(0)
    model = build_model(args.config, device=args.device).train()
    wrapper = model.cfg.get('optim_wrapper')
    if wrapper is None:
        raise ValueError(f'{args.config} has no optim_wrapper: it is for evaluation.')
    if not hasattr(model, 'set_vocabulary'):
        raise ValueError(f'{args.config} trains a prompt alone, without masks.')
    model.set_vocabulary(model.train_vocabulary)
    named = model.named_parameters()
    if not any('prompt_learner' in name and x.requires_grad for name, x in named):
        # Encoded once for all steps; what learns in the text tower is in every step.
        text = random_text(model)
        model.embed = lambda vocabulary: text
    wrapper.type = WRAPPERS[dtype]
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)  # a line for every parameter with an own rate
    try:
        return model, build_optim_wrapper(model, wrapper)
    finally:
        logger.setLevel(level)


def draw_batch(model, args):
    """Return images of noise, each with boxes of random classes as segments."""
    height, width = args.shape
    generator = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(args.batch_size):
        low = torch.rand(args.targets, 2, 1, generator=generator) * 0.7
        size = 0.05 + 0.25 * torch.rand(low.shape, generator=generator)
        edges = torch.cat([low, low + size], 2)
        rows, columns = (
            (torch.arange(length) >= start * length)
            & (torch.arange(length) < end * length)
            for length, (start, end) in zip(
                (height, width),
                edges.permute(1, 2, 0).unsqueeze(-1),  # [2, 2, n, 1]
                strict=True,
            )
        )
        labels = torch.arange(args.targets) % len(model.train_vocabulary)
        masks = rows[:, :, None] & columns[:, None]
        sample = BaseDataElement(metainfo=dict(img_shape=(height, width)))
        sample.gt_instances = InstanceData(labels=labels, masks=masks)
        samples.append(sample.to(args.device))
    shape = (args.batch_size, 3, height, width)
    images = torch.randint(0, 256, shape, generator=generator)
    return dict(inputs=list(images.to(torch.uint8)), data_samples=samples)


def step(model, wrapper, batch, read):
    """Train on a batch; return the seconds of the forward pass and of the rest."""
    start = read()
    with wrapper.optim_context(model):
        batch = model.data_preprocessor(batch, training=True)
        losses = model(**batch, mode='loss')
    loss, _ = model.parse_losses(losses)
    middle = read()
    wrapper.update_params(loss)
    return middle - start, read() - middle


def measure(args):
    """Return the seconds of all counted steps, by precision."""
    models = {dtype: build(dtype, args) for dtype in args.dtype}
    read = read_clock(torch.device(args.device))
    seconds = {dtype: [] for dtype in models}
    for index in range(args.warmup + args.repeat):
        for dtype, (model, wrapper) in models.items():
            found = step(model, wrapper, draw_batch(model, args), read)
            if index >= args.warmup:
                seconds[dtype].append(found)
    return seconds


def main():
    args = parse_args()
    wait_passively()
    if args.threads:
        torch.set_num_threads(args.threads)
    args.dtype = list(dict.fromkeys(args.dtype))
    place = describe_place()
    try:
        seconds = measure(args)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(
        f'{args.config}: steps of {args.batch_size} x {args.shape[0]} x '
        f'{args.shape[1]}, {args.targets} targets, {args.device}, '
        f'{torch.get_num_threads()} threads, torch {torch.__version__}, median of '
        f'{args.repeat} steps in turns\n'
    )
    print('| precision | forward, s | backward and update, s | images/s |')
    print('| --- | ---: | ---: | ---: |')
    for dtype, rows in seconds.items():
        forward, backward = np.median(rows, axis=0)
        speed = args.batch_size / np.median(np.sum(rows, axis=1))
        print(f'| {dtype} | {forward:.3f} | {backward:.3f} | {speed:.2f} |')
    if args.out:
        settings = dict(vars(args), out=str(args.out))
        write_card(args.out, dict(settings=settings, runs=seconds, **place))


if __name__ == '__main__':
    main()
