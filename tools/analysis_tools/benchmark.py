"""Time a model, part by part, alone or in turns with others: median, 95th percentile.

Examples: tools/analysis_tools/benchmark.py configs/eovseg/eovseg_r50_zs-ade20k.py
tools/analysis_tools/benchmark.py deop_vit-b16_cocostuff-156 \\
    --against simbaseline_vit-b16_cocostuff-156 --shape 512 640 --valid-masks 30
"""

import argparse
import sys
import time

import numpy as np
import torch
from mmengine.config import DictAction

from mmovseg.apis.checkpoint import load_checkpoint
from mmovseg.apis.profiling import (
    build_model,
    draw_masks,
    text_sample,
    time_models,
    wait_passively,
)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config file, or the name of a packaged one')
    parser.add_argument('--checkpoint', help='weights of CONFIG [random ones]')
    parser.add_argument(
        '--against',
        nargs='+',
        default=[],
        metavar='CONFIG',
        help='models that run in turns with the first, on the same input',
    )
    parser.add_argument(
        '--valid-masks',
        type=int,
        metavar='N',
        help='draw the masks of proposal networks: ellipses in N, nothing in the rest',
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=[640, 960],
        metavar=('H', 'W'),
        help='size of the padded input [640 960]',
    )
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--vocabulary', help="test vocabulary [the config's]")
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    parser.add_argument('--threads', type=int, help='threads of the CPU [all]')
    parser.add_argument('--warmup', type=int, default=2, help='runs not counted [2]')
    parser.add_argument('--repeat', type=int, default=20, help='runs counted [20]')
    parser.add_argument(
        '--panoptic-only', action='store_true', help='no instances, no label map'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override config values',
    )
    args = parser.parse_args()
    if any(x < 32 or x % 32 for x in args.shape):
        parser.error(f'--shape must be positive multiples of 32, got {args.shape}.')
    if args.repeat < 1 or args.warmup < 0 or args.batch_size < 1:
        parser.error('--repeat and --batch-size must be at least 1, --warmup 0.')
    return args


@torch.no_grad()
def measure_text(model):
    """Return seconds to encode the vocabulary (estimated) and to find it cached."""
    model.text_classifier.cache_dir = None
    sample, factor = text_sample(model.vocabulary)
    start = time.perf_counter()
    model.text_classifier(sample)
    encoding = (time.perf_counter() - start) * factor
    start = time.perf_counter()
    model.text_classifier(sample)
    return encoding, time.perf_counter() - start


def print_table(times, ratio_to):
    """Print median and 95th percentile of every part, and a ratio of totals."""
    print(f'{"part":<18}{"median":>12}{"p95":>12}')
    for name, seconds in times.items():
        median, p95 = (1000 * np.percentile(seconds, q) for q in (50, 95))
        print(f'{name:<18}{median:>9.1f} ms{p95:>9.1f} ms')
    if times['total'] is not ratio_to:
        ratio = np.median(times['total']) / np.median(ratio_to)
        print(f'{ratio:.2f} times the median of the first model')


def main():
    args = parse_args()
    wait_passively()
    if args.threads:
        torch.set_num_threads(args.threads)
    models = []
    try:
        for config in (args.config, *args.against):
            model = build_model(
                config,
                args.cfg_options,
                vocabulary=args.vocabulary,
                device=args.device,
            )
            if args.valid_masks is not None:
                draw_masks(model, args.valid_masks)
            if args.panoptic_only:
                model.fusion.instance = model.fusion.semantic = False
            models.append(model)
        if args.checkpoint:
            load_checkpoint(models[0], args.checkpoint)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    height, width = args.shape
    device = args.device
    if device == 'cpu':
        device += f', {torch.get_num_threads()} threads'
    print(
        f'Batch {args.batch_size} of {height} x {width}, float32, {device}, '
        f'torch {torch.__version__}, {args.repeat} runs'
    )
    inputs = torch.randn(args.batch_size, 3, height, width, device=args.device)
    all_times = time_models(models, inputs, warmup=args.warmup, repeat=args.repeat)
    for config, model, times in zip(
        (args.config, *args.against), models, all_times, strict=True
    ):
        print(f'\n{config}: {len(model.vocabulary)} classes')
        print_table(times, ratio_to=all_times[0]['total'])
    model = models[0]
    if model.text_classifier is not None:
        encoding, cached = measure_text(model)
        print(
            f'\nText, once per vocabulary: about {encoding:.1f} s for '
            f'{len(model.vocabulary.all_names)} names; from memory '
            f'{1000 * cached:.1f} ms.'
        )
    if not args.checkpoint:
        print('Random weights: the time of fusion depends on what is found.')


if __name__ == '__main__':
    main()
