"""Time a model."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...analysis.profiling import (
    build_model,
    draw_masks,
    text_sample,
    time_models,
    wait_passively,
)
from ...analysis.run_card import describe_place, to_plain, write_card
from ...apis import OVSegInferencer
from ...apis.checkpoint import load_checkpoint
from ...apis.fast_mode import make_fast
from ...apis.images import find_images
from ...command_line import (
    exit_on_error,
    messages_on_stderr,
    pick_device,
    print_json,
)


@torch.no_grad()
def measure_text(model: Any) -> tuple[float, float]:
    """Return seconds to encode the vocabulary (estimated) and to find it cached."""
    model.text_classifier.cache_dir = None
    sample, factor = text_sample(model.vocabulary)
    start = time.perf_counter()
    model.text_classifier(sample)
    encoding = (time.perf_counter() - start) * factor
    start = time.perf_counter()
    model.text_classifier(sample)
    return encoding, time.perf_counter() - start


def print_times(times: dict[str, list[float]], ratio_to: list[float]) -> None:
    """Print median and 95th percentile of every part, and a ratio of totals."""
    print(f'{"part":<18}{"median":>12}{"p95":>12}')
    for name, seconds in times.items():
        median, p95 = (1000 * np.percentile(seconds, q) for q in (50, 95))
        print(f'{name:<18}{median:>9.1f} ms{p95:>9.1f} ms')
    if times['total'] is not ratio_to:
        ratio = np.median(times['total']) / np.median(ratio_to)
        print(f'{ratio:.2f} times the median of the first model')


def build_models(args: argparse.Namespace) -> list[tuple[str, Any]]:
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


def measure_photos(
    models: Sequence[Any], folder: str, batch_size: int, args: argparse.Namespace
) -> list[list[float]]:
    """Return the seconds of every counted run over a folder, of each model."""
    inferencers = [
        OVSegInferencer(model, show_progress=False, num_workers=args.workers)
        for model in models
    ]
    times: list[list[float]] = [[] for _ in models]
    for index in range(args.warmup + args.repeat):
        for inferencer, row in zip(inferencers, times, strict=True):
            start = time.perf_counter()
            inferencer(folder, batch_size)
            if index >= args.warmup:
                row.append(time.perf_counter() - start)
    return times


def measure_throughput(
    models: Sequence[tuple[str, Any]], args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Print images per second of every batch size; return the seconds of all runs."""
    names, networks = zip(*models, strict=True)
    rows: list[list[float]] = [[] for _ in models]
    runs = []
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
            parts = time_models(
                networks, inputs, warmup=args.warmup, repeat=args.repeat
            )
            times = [x['total'] for x in parts]
        for name, row, seconds in zip(names, rows, times, strict=True):
            row.append(float(count / np.median(seconds)))
            runs.append(dict(name=name, batch_size=size, images=count, seconds=seconds))
    for name, row in zip(names, rows, strict=True):
        print(f'\n{name}\n{"batch":>5}{"images/s":>12}')
        for size, speed in zip(args.throughput, row, strict=True):
            print(f'{size:>5}{speed:>12.2f}')
    return runs


def measure_latency(
    models: Sequence[tuple[str, Any]], args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Print the time of every part; return the seconds of all runs."""
    inputs = torch.randn(args.batch_size, 3, *args.shape, device=args.device)
    networks = [model for _, model in models]
    all_times = time_models(networks, inputs, warmup=args.warmup, repeat=args.repeat)
    runs = []
    for (name, model), times in zip(models, all_times, strict=True):
        classes = len(model.vocabulary)
        print(f'\n{name}: {classes} classes')
        print_times(times, ratio_to=all_times[0]['total'])
        runs.append(dict(name=name, classes=classes, seconds=times))
    return runs


def run(args: argparse.Namespace) -> int:
    """Time; return the exit status."""
    with messages_on_stderr(args.json):
        report = bench(args)
    if args.json:
        print_json(to_plain(report))
    return 0


def bench(args: argparse.Namespace) -> dict[str, Any]:
    """Time and print; return the seconds of all runs, and where that was."""
    args.device = pick_device(args.device)
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
    report = dict(settings=vars(args), runs=runs, **place)
    if args.out:
        write_card(args.out, report)
    if args.throughput:
        return report
    model = models[0][1]
    if model.text_classifier is not None:
        encoding, cached = measure_text(model)
        report['text'] = dict(encoding_seconds=encoding, cached_seconds=cached)
        print(
            f'\nText, once per vocabulary: about {encoding:.1f} s for '
            f'{len(model.vocabulary.all_names)} names; from memory '
            f'{1000 * cached:.1f} ms.'
        )
    if not args.checkpoint:
        print('Random weights: the time of fusion depends on what is found.')
    return report
