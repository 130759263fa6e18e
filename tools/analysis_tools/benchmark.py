"""Time a model, part by part: median and 95th percentile.

Example: tools/analysis_tools/benchmark.py configs/eovseg/eovseg_r50_zs-ade20k.py
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
    random_text,
    run_model,
    text_sample,
    watch_parts,
)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config file, or the name of a packaged one')
    parser.add_argument('--checkpoint', help='weights [random ones]')
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


def measure(model, inputs, warmup, repeat):
    """Return the seconds of every counted run, by part and in total."""

    def clock():
        if inputs.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    text = random_text(model)
    times = {}
    for index in range(warmup + repeat):
        with watch_parts(model, clock) as parts:
            start = clock()
            run_model(model, inputs, text)
            total = clock() - start
        if index >= warmup:
            parts['ensemble'] = total - sum(parts.values())
            parts['fusion'] = parts.pop('fusion')
            parts['total'] = total
            for name, seconds in parts.items():
                times.setdefault(name, []).append(seconds)
    return times


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


def main():
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        model = build_model(
            args.config,
            args.cfg_options,
            vocabulary=args.vocabulary,
            device=args.device,
        )
        if args.checkpoint:
            load_checkpoint(model, args.checkpoint)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    if args.panoptic_only:
        model.fusion.instance = model.fusion.semantic = False
    height, width = args.shape
    device = args.device
    if device == 'cpu':
        device += f', {torch.get_num_threads()} threads'
    print(
        f'{args.config}: batch {args.batch_size} of {height} x {width}, '
        f'{len(model.vocabulary)} classes, {device}, {args.repeat} runs\n'
    )
    inputs = torch.randn(args.batch_size, 3, height, width, device=args.device)
    times = measure(model, inputs, args.warmup, args.repeat)
    print(f'{"part":<18}{"median":>12}{"p95":>12}')
    for name, seconds in times.items():
        median, p95 = (1000 * np.percentile(seconds, q) for q in (50, 95))
        print(f'{name:<18}{median:>9.1f} ms{p95:>9.1f} ms')
    encoding, cached = measure_text(model)
    print(
        f'\nText, once per vocabulary: about {encoding:.1f} s for '
        f'{len(model.vocabulary.all_names)} names; from memory {1000 * cached:.1f} ms.'
    )
    if not args.checkpoint:
        print('Random weights: the time of fusion depends on what is found.')


if __name__ == '__main__':
    main()
