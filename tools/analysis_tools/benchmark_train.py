"""Time training steps on drawn targets: forward pass, backward pass and update.

One step is what MMEngine's loop does for a batch, without reading it; --dtype names
several precisions, which take turns. Weights and text are random, so nothing is
downloaded. benchmark_data.py times the reading alone; --data-of reads batches here too,
and says how long a step waits for them.
Example: tools/analysis_tools/benchmark_train.py eovseg_r50_coco --threads 2
"""

import argparse
import logging
from contextlib import contextmanager

from mmovseg.command_line import exit_on_error, output_file, pick_device

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
    parser.add_argument('--batch-size', type=int, nargs='+', default=[1])
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
    parser.add_argument('--device', help='[cuda, or cpu without a GPU]')
    parser.add_argument('--threads', type=int, help='threads of the CPU [all]')
    parser.add_argument('--warmup', type=int, default=1, help='steps not counted [1]')
    parser.add_argument('--repeat', type=int, default=5, help='steps counted [5]')
    parser.add_argument(
        '--data-of',
        metavar='CONFIG',
        help="train on that config's data in this one's pipeline [drawn targets]",
    )
    parser.add_argument(
        '--workers', type=int, help="processes that read --data-of [the config's]"
    )
    parser.add_argument(
        '--out',
        type=output_file,
        help='write the seconds of all steps to this JSON file',
    )
    args = parser.parse_args()
    args.device = pick_device(args.device)
    if any(x < 32 or x % 32 for x in args.shape):
        parser.error(f'--shape must be positive multiples of 32, got {args.shape}.')
    if min(*args.batch_size, args.targets, args.repeat) < 1 or args.warmup < 0:
        parser.error(
            '--batch-size, --targets and --repeat must be at least 1, --warmup 0.'
        )
    if 'float16' in args.dtype and not args.device.startswith('cuda'):
        parser.error('--dtype float16 needs a GPU: take bfloat16.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement, InstanceData

from mmovseg.analysis.loaders import read_loader
from mmovseg.analysis.profiling import (
    build_model,
    random_text,
    read_clock,
    wait_passively,
)
from mmovseg.analysis.run_card import describe_place, write_card
from mmovseg.apis.runtime import keep_freed_memory


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
        model.encode_vocabulary = lambda vocabulary: text
    wrapper.type = WRAPPERS[dtype]
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)  # a line for every parameter with an own rate
    try:
        return model, build_optim_wrapper(model, wrapper)
    finally:
        logger.setLevel(level)


def draw_batch(model, batch_size, args):
    """Return images of noise, each with boxes of random classes as segments."""
    height, width = args.shape
    generator = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(batch_size):
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
    shape = (batch_size, 3, height, width)
    images = torch.randint(0, 256, shape, generator=generator)
    return dict(inputs=list(images.to(torch.uint8)), data_samples=samples)


@contextmanager
def watch_matching(model, read, seconds):
    """Add the seconds of all assignments of a context to a dictionary."""
    losses = [x for x in model.modules() if hasattr(x, 'match')]
    for loss in losses:

        def match(*args, original=loss.match):
            start = read()
            pairs = original(*args)
            seconds['matching'] += read() - start
            return pairs

        loss.match = match
    try:
        yield
    finally:
        for loss in losses:
            del loss.match


def step(model, wrapper, batch, read):
    """Train on a batch; return seconds by part of the step.

    Returns:
        Of the forward pass, of the matching in it, of backward pass and update.
    """
    seconds = dict(forward=0.0, matching=0.0, backward=0.0)
    start = read()
    with wrapper.optim_context(model), watch_matching(model, read, seconds):
        batch = model.data_preprocessor(batch, training=True)
        losses = model(**batch, mode='loss')
    loss, _ = model.parse_losses(losses)
    middle = read()
    wrapper.update_params(loss)
    seconds.update(forward=middle - start, backward=read() - middle)
    return seconds


def make_batches(model, batch_size, args):
    """Yield batches for ever: drawn, or those of a loader."""
    if not args.data_of:
        while True:
            yield draw_batch(model, batch_size, args)
    options = {'train_dataloader.batch_size': batch_size}
    loader = read_loader(
        args.config, data_of=args.data_of, workers=args.workers, cfg_options=options
    )
    yield from Runner.build_dataloader(loader, seed=0)
    raise ValueError(f'{args.data_of} has too few images for so many steps.')


def measure(models, batch_size, args):
    """Return the parts of all counted steps, and the memory, by precision."""
    device = torch.device(args.device)
    batches = {
        dtype: make_batches(model, batch_size, args)
        for dtype, (model, _) in models.items()
    }
    read = read_clock(device)
    steps = {dtype: [] for dtype in models}
    for index in range(args.warmup + args.repeat):
        for dtype, (model, wrapper) in models.items():
            start = read()
            batch = next(batches[dtype])
            data = read() - start
            if device.type == 'cuda':
                torch.cuda.reset_peak_memory_stats(device)
            found = step(model, wrapper, batch, read)
            if device.type == 'cuda':
                # The weights of all precisions are there.
                found['memory'] = torch.cuda.max_memory_allocated(device)
            if args.data_of:
                found['data'] = data
            if index >= args.warmup:
                steps[dtype].append(found)
    return steps


def describe_steps(rows, batch_size):
    """Return medians of the parts of steps, and the shares of some of a step."""
    parts = {key: float(np.median([row[key] for row in rows])) for key in rows[0]}
    totals = [row.get('data', 0) + row['forward'] + row['backward'] for row in rows]
    total = float(np.median(totals))
    return dict(
        medians=parts,
        images_per_second=batch_size / total,
        steps_per_second=1 / total,
        shares={
            key: parts[key] / total
            for key in ('data', 'matching', 'backward')
            if key in parts
        },
    )


def row_of(batch_size, dtype, found):
    """Return a row of the table."""
    if 'reason' in found:
        return f'| {batch_size} | {dtype} | {found["reason"]} | | | | | | | |'
    medians, shares = found['medians'], found['shares']
    cells = [
        str(batch_size),
        dtype,
        f'{medians["forward"]:.3f}',
        f'{medians["backward"]:.3f}',
        f'{found["images_per_second"]:.2f}',
        f'{found["steps_per_second"]:.3f}',
        *(
            f'{100 * shares[key]:.0f} %' if key in shares else '–'
            for key in ('data', 'matching', 'backward')
        ),
        f'{medians["memory"] / 2**20:.0f} MiB' if 'memory' in medians else '–',
    ]
    return f'| {" | ".join(cells)} |'


def measure_all(args):
    """Measure every batch size; print its rows, and write all numbers so far."""
    place = describe_place()
    settings = dict(vars(args), out=str(args.out))
    models = {dtype: build(dtype, args) for dtype in args.dtype}
    print(
        '| batch | precision | forward, s | backward and update, s | images/s | '
        'steps/s | data | matching | backward | memory |'
    )
    print('| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |')
    runs = []
    for batch_size in args.batch_size:
        try:
            steps = measure(models, batch_size, args)
        except torch.OutOfMemoryError:
            found = dict(reason='memory ran out')
            print(row_of(batch_size, ', '.join(models), found), flush=True)
            runs.append(dict(found, batch_size=batch_size))
            steps = {}
        for dtype, rows in steps.items():
            found = describe_steps(rows, batch_size)
            print(row_of(batch_size, dtype, found), flush=True)
            runs.append(dict(found, batch_size=batch_size, dtype=dtype, steps=rows))
        if args.out:
            write_card(args.out, dict(settings=settings, runs=runs, **place))


def main():
    args = parse_args()
    wait_passively()
    keep_freed_memory()  # as tools/train.py does
    if args.threads:
        torch.set_num_threads(args.threads)
    args.dtype = list(dict.fromkeys(args.dtype))
    print(
        f'{args.config}: steps of {args.shape[0]} x {args.shape[1]}, '
        f'{args.targets} targets, {args.device}, '
        f'{torch.get_num_threads()} threads, torch {torch.__version__}, median of '
        f'{args.repeat} steps in turns\n'
    )
    with exit_on_error():
        measure_all(args)


if __name__ == '__main__':
    main()
