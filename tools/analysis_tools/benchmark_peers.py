"""Time our models and independent systems in turns, on the same input.

Every system goes from a normalized image to its usual result: the network, resizing,
and the fusion into a panoptic or semantic label map. docs/peers.md says what is equal
between them and what cannot be.

Examples: tools/analysis_tools/benchmark_peers.py --threads 2
tools/analysis_tools/benchmark_peers.py --systems eovseg-l fcclip-l --device cuda
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from mmovseg.command_line import pick_device
from mmovseg.fileio import write_atomic

DTYPES = ('float32', 'bfloat16', 'float16')


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
    parser.add_argument(
        '--dtype', choices=DTYPES, default='float32', help='autocast to it [float32]'
    )
    parser.add_argument('--device', help='[cuda, or cpu without a GPU]')
    parser.add_argument('--threads', type=int, help='threads of the CPU [all]')
    parser.add_argument('--warmup', type=int, default=2, help='runs not counted [2]')
    parser.add_argument('--repeat', type=int, default=10, help='runs counted [10]')
    parser.add_argument(
        '--output',
        type=Path,
        default=Path('work_dirs/peers'),
        metavar='PATH',
        help='writes PATH.json and PATH.md [work_dirs/peers]',
    )
    # One system in a process of its own, which the tool starts itself.
    parser.add_argument('--alone', type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    args.device = pick_device(args.device)
    check_args(parser, args)
    args.systems = list(dict.fromkeys(args.systems))
    return args


def check_args(parser, args):
    """Stop with a message at a value that cannot work."""
    from mmovseg.analysis.peers import PEERS
    from mmovseg.apis.config import load_config

    args.systems = args.systems or list(PEERS)
    if any(x < 64 or x % 32 for x in args.size):
        parser.error(
            f'--size must be multiples of 32 and at least 64, got {args.size}.'
        )
    for name, least in dict(classes=2, repeat=1, warmup=0, valid_masks=0).items():
        if getattr(args, name) < least:
            option = name.replace('_', '-')
            parser.error(
                f'--{option} must be at least {least}, got {getattr(args, name)}.'
            )
    if args.threads is not None and args.threads < 1:
        parser.error(f'--threads must be at least 1, got {args.threads}.')
    for name in args.systems:
        if name in PEERS:
            continue
        try:
            load_config(name)
        except FileNotFoundError:
            parser.error(
                f'--systems: {name!r} is no system and no config. Systems: '
                f'{", ".join(PEERS)}.'
            )
        except ValueError as error:
            parser.error(str(error))


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import numpy as np
import torch

from mmovseg.analysis.clock import Clock
from mmovseg.analysis.peers import (
    PEERS,
    MissingPackageError,
    build_system,
    make_vocabulary,
)
from mmovseg.analysis.profiling import count_macs, wait_passively, watch_parts
from mmovseg.analysis.run_card import describe_place, write_card


def make_inputs(args):
    """Return one random image, the same for every system."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 3, *args.size, generator=generator).to(args.device)


def build(name, args):
    torch.manual_seed(0)
    vocabulary = make_vocabulary(args.classes)
    return build_system(name, vocabulary, args.valid_masks, args.device)


def autocast(args):
    dtype = getattr(torch, args.dtype)
    kind = torch.device(args.device).type
    return torch.autocast(kind, dtype, enabled=dtype != torch.float32)


@torch.no_grad()
def describe_alone(name, args):
    """Return what does not depend on other systems; memory needs a fresh process.

    Returns:
        Task, parameters, FLOPs (two per multiply-accumulate) and bytes in use at the
        peak of the second run, the first of this size, beyond those before it. Or the
        reason why the system cannot be built.
    """
    try:
        system = build(name, args)
    except MissingPackageError as error:
        return dict(reason=str(error))
    inputs, clock = make_inputs(args), Clock(args.device)
    with autocast(args):
        system.run(inputs[..., :64, :64].contiguous())  # loads what runs need
        before = clock.reset_memory()
        system.run(inputs)
        peak = clock.peak_memory()
        with count_macs() as read:
            system.run(inputs)
            macs = read()
    return dict(
        task=system.task,
        parameters=sum(x.numel() for x in system.model.parameters()),
        flops=2 * macs,
        memory=None if before is None else peak - before,
    )


def describe(name, args):
    """Run :func:`describe_alone` in a process of its own; name what it dies of."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'row.json'
        command = [sys.executable, os.path.abspath(__file__), '--systems', name]
        for option in ('classes', 'valid-masks', 'dtype', 'device', 'threads'):
            value = getattr(args, option.replace('-', '_'))
            if value is not None:
                command += [f'--{option}', str(value)]
        command += ['--size', *map(str, args.size), '--alone', str(path)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode == 0:
            return json.loads(path.read_text())
    if done.returncode < 0:
        reason = f'stopped by {signal.Signals(-done.returncode).name}'
        if done.returncode == -signal.SIGKILL:
            reason += ', as when memory runs out'
    else:
        reason = (done.stderr.strip().splitlines() or ['without a message'])[-1]
    print(done.stderr, file=sys.stderr)
    return dict(reason=reason, failed=True)


@torch.no_grad()
def measure(systems, args):
    """Return the seconds of every counted run, by name; the systems run in turns.

    Returns:
        For each system two lists, of the whole and of its backbone; the latter is empty
        for systems without one.
    """
    inputs, clock = make_inputs(args), Clock(args.device)
    seconds = {name: ([], []) for name in systems}
    with autocast(args):
        for index in range(args.warmup + args.repeat):
            for name, system in systems.items():
                # Watching waits for a GPU, which would take time from it.
                module = None if clock.cuda else system.backbone
                with watch(module, clock) as parts:
                    start = clock.seconds()
                    system.run(inputs)
                    end = clock.seconds()
                if index >= args.warmup:
                    seconds[name][0].append(end - start)
                    seconds[name][1].extend(parts.values())
        for name, system in systems.items() if clock.cuda else ():
            for _ in range(args.repeat):
                with watch(system.backbone, clock) as parts:
                    system.run(inputs)
                seconds[name][1].extend(parts.values())
    return seconds


def watch(module, clock):
    """Sum the seconds of a module's calls in a context, as ``'backbone'``."""
    parts = {} if module is None else dict(backbone=module)
    return watch_parts(torch.nn.ModuleDict(parts), clock.seconds)


def complete(rows, seconds):
    """Add times to the rows, and how many times as long as its EOV-Seg each takes."""
    for name, (values, backbone) in seconds.items():
        median, p95 = (float(np.percentile(values, q)) for q in (50, 95))
        rows[name].update(median=median, p95=p95, seconds=values)
        if backbone:
            rows[name].update(
                backbone=float(np.median(backbone)), backbone_seconds=backbone
            )
    for name, row in rows.items():
        baseline = PEERS[name].baseline if name in PEERS else None
        reference = rows.get(baseline, {}).get('median')
        if reference is not None and 'median' in row:
            row.update(baseline=baseline, ratio=row['median'] / reference)


def table(rows):
    """Return the rows as a Markdown table."""
    lines = [
        '| system | result | parameters | GFLOPs | median | p95 | of which backbone | '
        'memory | ratio |',
        '|---|---|--:|--:|--:|--:|--:|--:|--:|',
    ]
    for name, row in rows.items():
        if 'reason' in row:
            reason = row['reason'].replace('|', '\\|')
            lines.append(f'| {name} | {reason} | | | | | | | |')
            continue
        memory = row['memory']
        cells = [
            name,
            row['task'],
            f'{row["parameters"] / 1e6:.1f} M',
            f'{row["flops"] / 1e9:.1f}',
            f'{1000 * row["median"]:.1f} ms',
            f'{1000 * row["p95"]:.1f} ms',
            f'{1000 * row["backbone"]:.1f} ms' if 'backbone' in row else '–',
            'not measured' if memory is None else f'{memory / 2**20:.0f} MiB',
            f'{row["ratio"]:.2f} × {row["baseline"]}' if 'ratio' in row else '–',
        ]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def headline(args, hardware):
    """Say what the table holds, in a line."""
    place = f'{hardware["cpu"]}, {torch.get_num_threads()} threads'
    if torch.device(args.device).type == 'cuda':
        place = torch.cuda.get_device_name(args.device)
    height, width = args.size
    return (
        f'One image of {height} × {width}, {args.classes} classes, {args.dtype}, '
        f'{place}, torch {torch.__version__}, random weights; {args.repeat} runs in '
        f"turns after {args.warmup}; {args.valid_masks} of DeOP's and SimBaseline's "
        'proposals have pixels.'
    )


def main():
    wait_passively()
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.alone:
        write_card(args.alone, describe_alone(args.systems[0], args))
        return
    rows, place = {}, describe_place()
    for name in args.systems:
        rows[name] = describe(name, args)
        print(f'{name}: {rows[name].get("reason", "ready")}', flush=True)
    ready = [name for name, row in rows.items() if 'reason' not in row]
    complete(rows, measure({name: build(name, args) for name in ready}, args))

    settings = {key: value for key, value in vars(args).items() if key != 'alone'}
    settings |= dict(
        output=str(args.output), OMP_WAIT_POLICY=os.environ['OMP_WAIT_POLICY']
    )
    card = dict(settings=settings, systems=rows, **place)
    write_card(args.output.with_name(f'{args.output.name}.json'), card)
    text = f'{headline(args, card["hardware"])}\n\n{table(rows)}\n'
    write_atomic(args.output.with_name(f'{args.output.name}.md'), text.encode())
    print(f'\n{text}')
    failed = [name for name, row in rows.items() if row.get('failed')]
    if failed:
        sys.exit(f'error: {", ".join(failed)} failed; the messages stand above.')


if __name__ == '__main__':
    main()
