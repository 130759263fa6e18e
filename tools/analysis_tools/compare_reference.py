"""Compare EOV-Seg with the plain form of its operations, in turns in one run.

Inside `with ops.plain():` every operation is its formula, as the released code computes
it. Both forms have the same weights, input and vocabulary. Seconds of the released code
itself, which another machine took on another day, stand beside them; the frozen towers
tell how the two machines compare. Afterwards both forms are checked to find the same.
With --memory the peak of memory is measured instead, in a process for each form.

Examples: tools/analysis_tools/compare_reference.py --vocabulary ade20k_150 ade20k_847
tools/analysis_tools/compare_reference.py --memory --semantic --shape 1024 1376 \
    --vocabulary ade20k_847
"""

import argparse
import json
import os
import subprocess
import sys
from typing import NamedTuple

from mmovseg.command_line import FAST_PARTS, exit_on_error, output_file


class Official(NamedTuple):
    """A size of EOV-Seg and recorded seconds of the released code."""

    config: str
    total: float
    backbone: float
    spatial_backbone: float


SIZES = {
    's': Official('eovseg_r50_zs-ade20k', 3.67, 0.57, 0.19),
    'm': Official('eovseg_r50x4_zs-ade20k', 4.23, 1.04, 0.19),
    'l': Official('eovseg_convnext-l_zs-ade20k', 4.39, 2.42, 0.19),
}
FORMS = ('ours', 'plain')


# What the recorded seconds are of: one image, its panoptic result.
SHAPE, THREADS, VOCABULARY = (640, 960), 2, 'ade20k_150'


def parse_args(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--sizes', nargs='+', choices=SIZES, default=list(SIZES))
    parser.add_argument('--vocabulary', nargs='+', default=[VOCABULARY])
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=list(SHAPE),
        metavar=('H', 'W'),
        help='size of the input and of the result [640 960]',
    )
    parser.add_argument(
        '--semantic', action='store_true', help='make the semantic result too'
    )
    parser.add_argument(
        '--memory', action='store_true', help='measure memory instead of time (Linux)'
    )
    parser.add_argument(
        '--fast',
        nargs='*',
        metavar='PART',
        help='our side in the fast mode: the parts that the CPU has, or some of '
        f'{", ".join(FAST_PARTS)} (docs/performance.md)',
    )
    parser.add_argument('--threads', type=int, default=THREADS)
    parser.add_argument('--warmup', type=int, default=2, help='runs not counted [2]')
    parser.add_argument('--repeat', type=int, default=10, help='runs counted [10]')
    parser.add_argument(
        '--out',
        type=output_file,
        help='write the numbers of all runs to this JSON file',
    )
    # Memory of one form in this process, which the tool starts itself.
    parser.add_argument('--alone', choices=FORMS, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    for name, least in dict(threads=1, repeat=1, warmup=0).items():
        if getattr(args, name) < least:
            parser.error(
                f'--{name} must be at least {least}, got {getattr(args, name)}.'
            )
    if args.memory and args.fast is not None:
        parser.error('--memory is of the exact mode: leave --fast out.')
    if any(x < 64 or x % 32 for x in args.shape):
        parser.error(
            f'--shape must be multiples of 32 and at least 64, got {args.shape}.'
        )
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import numpy as np
import torch

from mmovseg.analysis.clock import Clock
from mmovseg.analysis.profiling import (
    build_model,
    random_text,
    run_model,
    time_models,
    wait_passively,
)
from mmovseg.analysis.run_card import describe_place, write_card
from mmovseg.apis.fast_mode import make_fast
from mmovseg.models import ops
from mmovseg.models.fusion.fusion_tasks import label_divisor


def build(size, semantic, fast=None):
    """Build the models of both forms, without text towers and instance results.

    Args:
        size: A key of SIZES.
        semantic: Make the semantic result.
        fast: Parts of the fast mode of our side, ``[]`` for what suits the CPU. None
            gives one model for both forms.
    """
    models = [build_exact(size, semantic)]
    if fast is None:
        return models * 2
    models.append(build_exact(size, semantic))
    with exit_on_error():
        make_fast(models[0], fast or True)
    return models


def build_exact(size, semantic):
    torch.manual_seed(0)
    model = build_model(SIZES[size].config)
    model.fusion.instance, model.fusion.semantic = False, semantic
    # Random rows stand for the text, and the tower is most of the memory.
    model.text_classifier.drop_text_tower()
    return model


def choose(models, vocabulary):
    """Set the vocabulary of models; stop with a message if it is none."""
    with exit_on_error():
        for model in models:
            model.set_vocabulary(vocabulary)


def seconds(times):
    """Return medians of total, backbone and everything else, by name."""
    total, backbone = np.array(times['total']), np.array(times['backbone'])
    # The difference of every run: medians do not add up.
    parts = {
        'total': total,
        'backbone': backbone,
        'everything else': total - backbone,
    }
    return {name: float(np.median(values)) for name, values in parts.items()}


def slowness(times, official):
    """Return how many times as long as recorded the frozen towers of a form take."""
    towers = np.add(times['backbone'], times['spatial_backbone'])
    return float(np.median(towers)) / (official.backbone + official.spatial_backbone)


def rows_of(ours, plain, official, *, recorded, comparable):
    """Return three rows: part, ours, plain form, ratio, what was recorded, machine.

    Args:
        ours: Seconds of every run, by part, of our model.
        plain: The same of the plain form.
        official: Recorded seconds.
        recorded: Whether they are of this vocabulary and result.
        comparable: Whether they are of this input and number of threads, which is all
            that the frozen towers depend on.
    """
    theirs = {
        'total': official.total,
        'backbone': official.backbone,
        'everything else': official.total - official.backbone,
    }
    slower = f'{slowness(plain, official):.2f}' if comparable else '–'
    ours, plain = seconds(ours), seconds(plain)
    return [
        [
            part,
            f'{ours[part]:.3f}',
            f'{plain[part]:.3f}',
            f'{plain[part] / ours[part]:.2f}',
            f'{theirs[part]:.2f}' if recorded else '–',
            slower,
        ]
        for part in ours
    ]


@torch.no_grad()
def compare_results(model, plain, inputs, text):
    """Run both forms and return how far they agree.

    Returns:
        Share of the pixels of which the panoptic results say the same; the largest
        difference of a class score (a logarithm) of each query: median, 95 % quantile
        and maximum over the queries.
    """
    logits, maps = [], []
    for form, active in ((model, False), (plain, True)):
        with ops.plain(active):
            logits.append(form.predict_masks(inputs, text, None).class_logits)
            (result,) = run_model(form, inputs, text)
        maps.append(result.pred_panoptic_seg.sem_seg[0])
    error = (logits[0] - logits[1]).abs().amax(-1).flatten()
    quantiles = error.quantile(torch.tensor([0.5, 0.95, 1.0])).tolist()
    return equal_pixels(*maps, label_divisor(len(model.vocabulary))), quantiles


def equal_pixels(first, second, divisor):
    """Return the share of pixels where two coded panoptic maps say the same.

    Numbers of instances may differ: two segments of one label belong together if each
    has more pixels in common with the other than with any third one.
    """
    codes, places = first.unique(return_inverse=True)
    others, other_places = second.unique(return_inverse=True)
    pairs = (places * len(others) + other_places).flatten()
    common = pairs.bincount(minlength=len(codes) * len(others))
    common = common.view(len(codes), len(others))
    partner = common.argmax(1)
    equal = common.argmax(0)[partner] == torch.arange(len(codes))
    equal &= codes % divisor == others[partner] % divisor
    return common.amax(1)[equal].sum().item() / pairs.numel()


def print_table(titles, rows):
    """Print rows in Markdown."""
    print(f'| {" | ".join(titles)} |')
    print(f'| {" | ".join("---" for _ in titles)} |')
    for row in rows:
        print(f'| {" | ".join(row)} |')
    print(flush=True)


def compare_times(args):
    """Time both forms of every size in turns, and print the tables."""
    forms = [build(size, args.semantic, args.fast) for size in args.sizes]
    if args.fast is not None:
        print(f'Ours in the fast mode: {" ".join(forms[0][0].fast_mode.parts)}.\n')
    inputs = torch.randn(1, 3, *args.shape)
    comparable = (tuple(args.shape), args.threads) == (SHAPE, THREADS)
    rows, checks, runs, place = [], [], [], describe_place()
    for vocabulary in args.vocabulary:
        choose([form for pair in forms for form in pair], vocabulary)
        texts = [random_text(model) for model, _ in forms for _ in FORMS]
        texts[1::2] = texts[::2]
        times = time_models(
            [form for pair in forms for form in pair],
            inputs,
            warmup=args.warmup,
            repeat=args.repeat,
            texts=texts,
            plain=[False, True] * len(forms),
        )
        recorded = comparable and vocabulary == VOCABULARY and not args.semantic
        for index, (size, pair) in enumerate(zip(args.sizes, forms, strict=True)):
            name = [size.upper(), str(len(pair[0].vocabulary))]
            found = rows_of(
                *times[2 * index : 2 * index + 2],
                SIZES[size],
                recorded=recorded,
                comparable=comparable,
            )
            rows += [name + row for row in found]
            share, quantiles = compare_results(*pair, inputs, texts[2 * index])
            errors = [f'{error:.1e}' for error in quantiles]
            checks.append([*name, f'{share:.3%}', *errors])
            by_form = dict(zip(FORMS, times[2 * index : 2 * index + 2], strict=True))
            found = dict(equal_pixels=share, class_score_errors=quantiles)
            key = dict(size=size, vocabulary=vocabulary)
            runs.append(dict(key, seconds=by_form, **found))
    print('Seconds, median of the runs; the ratio is plain form to ours.\n')
    print_table(
        [
            *('size', 'classes', 'part', 'ours', 'plain form', 'ratio'),
            *('released code, recorded elsewhere', 'this machine is slower by'),
        ],
        rows,
    )
    print('What both forms find; differences of class scores are of a query.\n')
    print_table(
        ['size', 'classes', 'equal pixels', 'median', '95 % of queries', 'all'], checks
    )
    write_runs(args, runs, place)


def write_runs(args, runs, place):
    """Write what was measured to the file of ``--out``, if there is one."""
    if args.out:
        settings = dict(vars(args), out=str(args.out))
        write_card(args.out, dict(settings=settings, runs=runs, **place))


def measure_alone(args):
    """Print bytes of this process before the run of one form, and at its peak."""
    model, _ = build(args.sizes[0], args.semantic)
    choose([model], args.vocabulary[0])
    text, clock = random_text(model), Clock('cpu')
    inputs = torch.randn(1, 3, *args.shape)
    with ops.plain(args.alone == 'plain'):
        run_model(model, torch.randn(1, 3, 64, 64), text)  # loads what runs need
        before = clock.reset_memory()
        if before is None:
            sys.exit('error: --memory needs /proc of Linux, which tells the peak.')
        run_model(model, inputs, text)
    print(json.dumps([before, clock.peak_memory()]))


def measure(form, size, vocabulary, args):
    """Run :func:`measure_alone` in a process of its own."""
    command = [sys.executable, os.path.abspath(__file__), '--alone', form]
    command += ['--sizes', size, '--vocabulary', vocabulary]
    command += ['--shape', *map(str, args.shape), '--threads', str(args.threads)]
    command += ['--semantic'] * args.semantic
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(
            f'error: {form}, {size.upper()}, {vocabulary} ended with code '
            f'{done.returncode} (-9 is what a lack of memory looks like).'
        )
    return json.loads(done.stdout.splitlines()[-1])


def compare_memory(args):
    """Print the memory of both forms of every size."""
    rows, runs, place = [], [], describe_place()
    for vocabulary in args.vocabulary:
        for size in args.sizes:
            row, gains = [size.upper(), vocabulary], []
            runs.append(dict(size=size, vocabulary=vocabulary, bytes={}))
            for form in FORMS:
                before, peak = measure(form, size, vocabulary, args)
                runs[-1]['bytes'][form] = dict(before=before, peak=peak)
                gains.append(peak - before)
                row += [f'{x / 2**20:.0f}' for x in (before, peak, peak - before)]
            rows.append([*row, f'{gains[1] / gains[0]:.2f}'])
    print('Resident MiB before an inference, at its peak, and the difference.\n')
    titles = ['size', 'vocabulary']
    for form in ('ours', 'plain form'):
        titles += [f'{form}: before', 'peak', 'difference']
    print_table([*titles, 'ratio of differences'], rows)
    write_runs(args, runs, place)


def main():
    args = parse_args()
    wait_passively()
    torch.set_num_threads(args.threads)
    if args.alone:
        measure_alone(args)
        return
    result = 'panoptic and semantic results' if args.semantic else 'panoptic result'
    print(
        f'{args.shape[0]} x {args.shape[1]}, {args.threads} threads, float32 where not '
        f'said, torch {torch.__version__}, one image, {result}'
        + ('' if args.memory else f', {args.repeat} runs in turns')
        + '\n',
        flush=True,
    )
    if args.memory:
        compare_memory(args)
    else:
        compare_times(args)


if __name__ == '__main__':
    main()
