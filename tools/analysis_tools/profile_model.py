"""Show where the time of models goes, part by part, beside what the machine could do.

For each config, vocabulary, input size and batch size: median seconds, operations and
bytes of every part, and their share of the machine's peak, which the same run measures
by a large matrix product and a large copy. Weights and text are random.
Example: tools/analysis_tools/profile_model.py eovseg_r50_coco eovseg_convnext-l_coco \\
    --vocabulary ade20k_150 lvis_1203 --shape 640 960 --shape 800 1344 --batch-size 1 8
"""

import argparse
import itertools
from contextlib import nullcontext

from mmovseg.command_line import exit_on_error, output_file, pick_device


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', help='config files or packaged names')
    parser.add_argument(
        '--vocabulary',
        nargs='+',
        default=[None],
        help="test vocabularies, packaged or files [the config's]",
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        action='append',
        metavar=('H', 'W'),
        help='size of the padded input; may be repeated [640 960]',
    )
    parser.add_argument('--batch-size', type=int, nargs='+', default=[1])
    parser.add_argument('--device', help='[cuda, or cpu without a GPU]')
    parser.add_argument(
        '--dtype',
        choices=['float32', 'bfloat16', 'float16'],
        default='float32',
        help='other than float32: autocast to it',
    )
    parser.add_argument('--threads', type=int, help='threads of the CPU [all]')
    parser.add_argument('--warmup', type=int, default=2, help='runs not counted [2]')
    parser.add_argument('--repeat', type=int, default=10, help='runs counted [10]')
    parser.add_argument(
        '--depth', type=int, default=2, help='1: parts of the model, 2: their parts [2]'
    )
    parser.add_argument(
        '--panoptic-only', action='store_true', help='no instances, no label map'
    )
    parser.add_argument(
        '--out', type=output_file, help='write all numbers to this JSON file'
    )
    args = parser.parse_args()
    args.device = pick_device(args.device)
    args.shape = args.shape or [[640, 960]]
    for shape in args.shape:
        if any(x < 32 or x % 32 for x in shape):
            parser.error(f'--shape must be positive multiples of 32, got {shape}.')
    if min(args.repeat, args.depth, *args.batch_size) < 1 or args.warmup < 0:
        parser.error(
            '--repeat, --depth and --batch-size must be at least 1, --warmup 0.'
        )
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import torch

from mmovseg.analysis.profiling import build_model, wait_passively
from mmovseg.analysis.roofline import measure_peak, profile_parts, roofline_table
from mmovseg.analysis.run_card import describe_place, write_card


def profile(model, args, shape, batch):
    """Return the costs of one model at one size."""
    inputs = torch.randn(batch, 3, *shape, device=args.device)
    dtype = getattr(torch, args.dtype)
    lower = dtype != torch.float32
    with torch.autocast(inputs.device.type, dtype) if lower else nullcontext():
        return profile_parts(
            model, inputs, warmup=args.warmup, repeat=args.repeat, depth=args.depth
        )


def describe(args, peak):
    """Return what all figures depend on."""
    settings = dict(vars(args), out=str(args.out))
    return dict(settings=settings, peak=peak._asdict(), **describe_place())


def main():
    args = parse_args()
    wait_passively()
    if args.threads:
        torch.set_num_threads(args.threads)
    peak = measure_peak(args.device, getattr(torch, args.dtype))
    report = dict(describe(args, peak), profiles=[])
    hardware = report['hardware']
    device = f'{hardware["cpu"]}, {hardware["threads"]} threads'
    if torch.device(args.device).type == 'cuda':
        device = torch.cuda.get_device_name(args.device)
    print(
        f'{device}, {args.dtype}, torch {torch.__version__}, '
        f'median of {args.repeat} runs. Peak: '
        f'{peak.flops / 1e9:,.0f} GFLOP/s, {peak.bandwidth / 1e9:,.1f} GB/s.'
    )
    for config in args.configs:
        with exit_on_error():
            model = build_model(config, device=args.device)
        if args.panoptic_only:
            model.fusion.instance = model.fusion.semantic = False
        for vocabulary, shape, batch in itertools.product(
            args.vocabulary, args.shape, args.batch_size
        ):
            if vocabulary is not None:
                with exit_on_error():
                    model.set_vocabulary(vocabulary)
            classes = len(model.vocabulary)
            costs = profile(model, args, shape, batch)
            height, width = shape
            print(f'\n{config}, {classes} classes, {batch} x {height} x {width}:\n')
            print(roofline_table(costs, peak), flush=True)
            report['profiles'].append(
                dict(
                    config=config,
                    classes=classes,
                    batch_size=batch,
                    shape=shape,
                    parts={
                        name: dict(
                            cost._asdict(),
                            bound=cost.bound(peak),
                            share=cost.share(peak),
                        )
                        for name, cost in costs.items()
                    },
                )
            )
            if args.out:
                # After each: a run of hours leaves what it has.
                write_card(args.out, report)


if __name__ == '__main__':
    main()
