"""Time a model, part by part, alone or in turns with others: median, 95th percentile.

Examples: tools/analysis_tools/benchmark.py configs/eovseg/eovseg_r50_zs-ade20k.py
tools/analysis_tools/benchmark.py deop_vit-b16_cocostuff-156 \\
    --against simbaseline_vit-b16_cocostuff-156 --shape 512 640 --valid-masks 30
tools/analysis_tools/benchmark.py eovseg_r50_coco --fast
tools/analysis_tools/benchmark.py eovseg_r50_coco --throughput --fast bf16 resize
"""

import argparse
import time

from mmovseg.command_line import FAST_PARTS, exit_on_error, output_file, pick_device

BATCH_SIZES = [1, 2, 4, 8, 16, 32]


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
    parser.add_argument(
        '--fast',
        nargs='*',
        metavar='PART',
        help='time the models in the fast mode too: the parts that the device has, or '
        f'some of {", ".join(FAST_PARTS)} (docs/performance.md)',
    )
    parser.add_argument(
        '--throughput',
        nargs='*',
        type=int,
        metavar='N',
        help='images per second in batches of N [1 2 4 8 16 32], instead of the parts',
    )
    parser.add_argument('--vocabulary', help="test vocabulary [the config's]")
    parser.add_argument('--device', help='[cuda, or cpu without a GPU]')
    parser.add_argument('--threads', type=int, help='threads of the CPU [all]')
    parser.add_argument('--warmup', type=int, default=2, help='runs not counted [2]')
    parser.add_argument('--repeat', type=int, default=20, help='runs counted [20]')
    parser.add_argument(
        '--panoptic-only', action='store_true', help='no instances, no label map'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override config values',
    )
    parser.add_argument(
        '--photos',
        metavar='FOLDER',
        help='with --throughput: OVSegInferencer on these photos, reading included',
    )
    parser.add_argument(
        '--workers', type=int, default=4, help='threads that read --photos [4]'
    )
    parser.add_argument(
        '--out',
        type=output_file,
        help='write the seconds of all runs to this JSON file',
    )
    args = parser.parse_args()
    args.device = pick_device(args.device)
    if args.photos and args.throughput is None:
        parser.error('--photos needs --throughput.')
    if any(x < 32 or x % 32 for x in args.shape):
        parser.error(f'--shape must be positive multiples of 32, got {args.shape}.')
    if args.throughput == []:
        args.throughput = BATCH_SIZES
    sizes = [args.batch_size, *(args.throughput or ())]
    if args.repeat < 1 or args.warmup < 0 or min(sizes) < 1:
        parser.error('--repeat and batch sizes must be at least 1, --warmup 0.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import numpy as np
import torch

from mmovseg.analysis.profiling import (
    build_model,
    draw_masks,
    text_sample,
    time_models,
    wait_passively,
)
from mmovseg.analysis.run_card import describe_place, write_card
from mmovseg.apis import OVSegInferencer
from mmovseg.apis.checkpoint import load_checkpoint
from mmovseg.apis.fast_mode import make_fast
from mmovseg.apis.images import find_images


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


def build_models(args):
    """Build the models, and in fast mode once more; each with what is printed of it."""
    models = []
    for config in (args.config, *args.against):
        for fast in (None, args.fast) if args.fast is not None else (None,):
            # The same random weights, and so the same masks to fuse.
            torch.manual_seed(0)
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
            if args.checkpoint and config == args.config:
                load_checkpoint(model, args.checkpoint)
            name = config
            if fast is not None:
                mode = make_fast(model, fast or True)
                if mode.compile and args.valid_masks is not None:
                    raise ValueError(
                        '--valid-masks cannot be drawn in a compiled program: leave it '
                        "or 'compile' out."
                    )
                name += f' ({", ".join(mode.parts)})'
            models.append((name, model))
    return models


def measure_photos(models, folder, batch_size, args):
    """Return the seconds of every counted run over a folder, of each model."""
    inferencers = [
        OVSegInferencer(model, show_progress=False, num_workers=args.workers)
        for model in models
    ]
    times = [[] for _ in models]
    for index in range(args.warmup + args.repeat):
        for inferencer, row in zip(inferencers, times, strict=True):
            start = time.perf_counter()
            inferencer(folder, batch_size)
            if index >= args.warmup:
                row.append(time.perf_counter() - start)
    return times


def measure_throughput(models, args):
    """Print images per second of every batch size; return the seconds of all runs."""
    names, networks = zip(*models, strict=True)
    rows, runs = [[] for _ in models], []
    if args.photos:
        count = len(find_images(args.photos))
        print(f'{count} photos, from the files to the segments')
    else:
        print('From padded batches to fused results')
    for size in args.throughput:
        if args.photos:
            times = measure_photos(networks, args.photos, size, args)
        else:
            count = size
            inputs = torch.randn(size, 3, *args.shape, device=args.device)
            times = time_models(
                networks, inputs, warmup=args.warmup, repeat=args.repeat
            )
            times = [parts['total'] for parts in times]
        for name, row, seconds in zip(names, rows, times, strict=True):
            row.append(count / np.median(seconds))
            runs.append(dict(name=name, batch_size=size, images=count, seconds=seconds))
    for name, row in zip(names, rows, strict=True):
        print(f'\n{name}\n{"batch":>5}{"images/s":>12}')
        for size, speed in zip(args.throughput, row, strict=True):
            print(f'{size:>5}{speed:>12.2f}')
    return runs


def measure_latency(models, args):
    """Print the time of every part; return the seconds of all runs."""
    inputs = torch.randn(args.batch_size, 3, *args.shape, device=args.device)
    networks = [model for _, model in models]
    all_times = time_models(networks, inputs, warmup=args.warmup, repeat=args.repeat)
    runs = []
    for (name, model), times in zip(models, all_times, strict=True):
        classes = len(model.vocabulary)
        print(f'\n{name}: {classes} classes')
        print_table(times, ratio_to=all_times[0]['total'])
        runs.append(dict(name=name, classes=classes, seconds=times))
    return runs


def main():
    args = parse_args()
    wait_passively()
    if args.threads:
        torch.set_num_threads(args.threads)
    with exit_on_error(TypeError):
        models = build_models(args)
    device = args.device
    if device == 'cpu':
        device += f', {torch.get_num_threads()} threads'
    batches = f'Batch {args.batch_size}' if not args.throughput else 'Batches'
    print(
        f'{batches} of {" x ".join(map(str, args.shape))}, float32 where not said, '
        f'{device}, torch {torch.__version__}, {args.repeat} runs'
    )
    place = describe_place()
    with exit_on_error():
        measure = measure_throughput if args.throughput else measure_latency
        runs = measure(models, args)
    if args.out:
        settings = dict(vars(args), out=str(args.out))
        write_card(args.out, dict(settings=settings, runs=runs, **place))
    if args.throughput:
        return
    model = models[0][1]
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
