"""Time systems on one device: every batch size in every mode, with memory and peak.

For each system, mode and batch size: latency, images per second, share of the peak
that the same run measures, and memory of a GPU. Systems are those of
benchmark_peers.py or configs of ours. What cannot be built or run is reported with its
reason, and the numbers so far are written after every cell, so that a run that is cut
short keeps them. Weights and text are random.
Example: tools/analysis_tools/benchmark_grid.py --systems eovseg-s san-b16 \\
    --modes float32 bfloat16 compiled graphs --batch-size 1 8 32 --seconds 120
"""

import argparse
import gc
import sys
import time
from contextlib import nullcontext

from mmovseg.command_line import output_file, pick_device

# What a mode does: autocast, layout, parts of the fast mode (ours alone).
MODES = {
    'float32': {},
    'bfloat16': dict(dtype='bfloat16'),
    'float16': dict(dtype='float16'),
    'channels_last': dict(dtype='bfloat16', layout='channels_last'),
    'fast': dict(fast=('bf16', 'resize')),
    'compiled': dict(fast=('bf16', 'resize', 'compile')),
    'graphs': dict(fast=('bf16', 'resize', 'compile', 'graphs', 'buckets')),
}


def parse_args(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--systems',
        nargs='+',
        default=[],
        metavar='NAME',
        help='of mmovseg.analysis.peers, or configs of ours [all of the former]',
    )
    parser.add_argument(
        '--modes', nargs='+', choices=MODES, default=['float32', 'bfloat16']
    )
    parser.add_argument('--batch-size', type=int, nargs='+', default=[1, 8, 32])
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=[640, 960],
        metavar=('H', 'W'),
        help='size of the input and of the label map [640 960]',
    )
    parser.add_argument(
        '--classes', type=int, default=150, help='classes, one name each [150]'
    )
    parser.add_argument(
        '--valid-masks',
        type=int,
        default=30,
        metavar='N',
        help='proposals with pixels, for DeOP and SimBaseline [30]',
    )
    parser.add_argument('--device', help='[cuda, or cpu without a GPU]')
    parser.add_argument('--warmup', type=int, default=3, help='runs not counted [3]')
    parser.add_argument('--repeat', type=int, default=20, help='runs counted [20]')
    parser.add_argument(
        '--cell-seconds',
        type=float,
        default=2.0,
        help='no further run of a cell after so long, beyond three [2]',
    )
    parser.add_argument(
        '--seconds', type=float, default=float('inf'), help='begin no cell after them'
    )
    parser.add_argument(
        '--out', type=output_file, help='write all numbers to this JSON file'
    )
    args = parser.parse_args(arguments)

    args.device = pick_device(args.device)
    from mmovseg.analysis.peers import PEERS  # after --help

    args.systems = args.systems or list(PEERS)
    if any(x < 64 or x % 32 for x in args.size):
        parser.error(
            f'--size must be multiples of 32 and at least 64, got {args.size}.'
        )
    if min(args.repeat, *args.batch_size) < 1 or args.warmup < 0 or args.classes < 2:
        parser.error(
            '--repeat and --batch-size must be at least 1, --warmup 0, --classes 2.'
        )
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import numpy as np
import torch

from mmovseg.analysis.peers import (
    MissingPackageError,
    build_system,
    make_vocabulary,
)
from mmovseg.analysis.profiling import count_macs, read_clock, wait_passively
from mmovseg.analysis.roofline import Cost, count_bytes, measure_peak
from mmovseg.analysis.run_card import describe_place, write_card
from mmovseg.apis.fast_mode import make_fast


def build(name, mode, args):
    """Build a system in a mode; return it with the layout and dtype of its inputs."""
    torch.manual_seed(0)
    vocabulary = make_vocabulary(args.classes)
    # Drawn masks cannot be in a compiled program: there the proposals are random.
    masks = 0 if 'compile' in mode.get('fast', ()) else args.valid_masks
    system = build_system(name, vocabulary, masks, args.device)
    if 'layout' in mode:
        system.model.to(memory_format=getattr(torch, mode['layout']))
    if 'fast' in mode:
        make_fast(system.model, mode['fast'])
    return system


def count_work(system, inputs):
    """Return operations and bytes of one run."""
    with count_macs() as read:
        system.run(inputs)
        flops = 2 * read()
    with count_bytes() as read:
        system.run(inputs)
        return flops, read()


@torch.no_grad()
def time_cell(system, mode, batch, args):
    """Return the seconds of the counted runs, of the first, and the memory."""
    device = torch.device(args.device)
    inputs = torch.randn(batch, 3, *args.size, device=device)
    if 'layout' in mode:
        inputs = inputs.contiguous(memory_format=getattr(torch, mode['layout']))
    read, seconds = read_clock(device), []
    half = nullcontext()
    if 'dtype' in mode:
        half = torch.autocast(device.type, getattr(torch, mode['dtype']))
    memory = None
    with half:
        start = read()
        system.run(inputs)
        first = read() - start  # compiles where something is compiled
        for _ in range(args.warmup):
            system.run(inputs)
        if device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats(device)
        begin = read()
        while len(seconds) < args.repeat:
            start = read()
            system.run(inputs)
            end = read()
            seconds.append(end - start)
            if end - begin > args.cell_seconds and len(seconds) >= 3:
                break
        if device.type == 'cuda':
            memory = torch.cuda.max_memory_allocated(device)
    return dict(seconds=seconds, first=first, memory=memory)


def describe_cell(cell, work, peak, batch):
    """Add median, throughput and share of the peak to a cell."""
    median = float(np.median(cell['seconds']))
    cell.update(median=median, images_per_second=batch / median)
    if work is not None:
        cost = Cost(median, *(batch * amount for amount in work))
        cell.update(share=cost.share(peak), bound=cost.bound(peak))
    return cell


def reason_of(error):
    """Return the first line of an error, which says why a cell is missing."""
    text = str(error).strip() or type(error).__name__
    return f'{type(error).__name__}: {text.splitlines()[0]}'[:300]


@torch.no_grad()
def measure_system(name, mode_names, peaks, args, late):
    """Yield one row per mode and batch size of a system."""
    work = None
    for mode_name in mode_names:
        mode = MODES[mode_name]
        row = dict(system=name, mode=mode_name)
        if late():
            yield dict(row, reason='no time was left')
            continue
        try:
            system = build(name, mode, args)
            if work is None:
                example = torch.randn(1, 3, *args.size, device=args.device)
                work = count_work(system, example) if 'fast' not in mode else None
        except FileNotFoundError:
            yield dict(row, reason='there is no such system and no such config')
            return
        except MissingPackageError as error:
            yield dict(row, reason=str(error))
            return
        except Exception as error:  # one system that fails must not cost the others
            yield dict(row, reason=reason_of(error), failed=True)
            continue
        for batch in args.batch_size:
            cell = dict(row, batch_size=batch)
            if late():
                yield dict(cell, reason='no time was left')
                continue
            try:
                found = time_cell(system, mode, batch, args)
            except Exception as error:
                yield dict(cell, reason=reason_of(error), failed=True)
                continue
            half = mode_name != 'float32'
            yield dict(cell, **describe_cell(found, work, peaks[half], batch))
        del system
        gc.collect()
        if torch.device(args.device).type == 'cuda':
            torch.cuda.empty_cache()


def print_row(row):
    """Print one row of the table."""
    cells = [row['system'], row['mode'], str(row.get('batch_size', ''))]
    if 'reason' in row:
        cells += [row['reason'].replace('|', '\\|'), '', '', '']
    else:
        share, memory = row.get('share'), row['memory']
        cells += [
            f'{1000 * row["median"]:.1f}',
            f'{row["images_per_second"]:.1f}',
            '' if share is None else f'{100 * share:.0f} %',
            '' if memory is None else f'{memory / 2**20:.0f}',
        ]
    print(f'| {" | ".join(cells)} |', flush=True)


def main():
    args = parse_args()
    wait_passively()
    start = time.monotonic()
    peaks = [measure_peak(args.device, x) for x in (torch.float32, torch.bfloat16)]
    settings = dict(vars(args), out=str(args.out))
    names = ('float32', 'bfloat16')
    report = dict(
        settings=settings,
        peaks={x: peak._asdict() for x, peak in zip(names, peaks, strict=True)},
        rows=[],
        **describe_place(),
    )
    for name, peak in zip(names, peaks, strict=True):
        print(
            f'Peak in {name}: {peak.flops / 1e9:,.0f} GFLOP/s, '
            f'{peak.bandwidth / 1e9:,.0f} GB/s.'
        )
    print('\n| system | mode | batch | ms | images/s | share of peak | MiB |')
    print('|---|---|--:|--:|--:|--:|--:|', flush=True)

    def late():
        return time.monotonic() - start > args.seconds

    for name in args.systems:
        for row in measure_system(name, args.modes, peaks, args, late):
            report['rows'].append(row)
            print_row(row)
            if args.out:
                write_card(args.out, report)
    failed = {x['system'] for x in report['rows'] if x.get('failed')}
    if failed:
        sys.exit(f'error: {", ".join(sorted(failed))} failed; the table says of what.')


if __name__ == '__main__':
    main()
