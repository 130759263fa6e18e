"""Export a model, and vocabularies."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...analysis.export_check import SHARE, TOLERANCE, measure_errors
from ...apis import init_model
from ...apis.export import (
    describe,
    export_program,
    save_onnx,
    save_program,
    save_text,
)
from ...command_line import exit_on_error
from ...models.segmentors import OVSegmentor
from ...vocabulary import Vocabulary

MODELS = {'.onnx': save_onnx, '.pt2': save_program}


def export(args: argparse.Namespace) -> bool:
    """Write all files of the command line; return whether they passed the check."""
    model = init_model(args.config, args.checkpoint, cfg_options=args.cfg_options)
    if args.classes is not None:
        model.set_vocabulary(Vocabulary.from_string(args.classes))
    program, passed = None, True
    for path in args.out:
        if path.suffix == '.npz':
            save_text(model, model.vocabulary, path)
        else:
            # First: it finds mistakes sooner than tracing.
            metadata = describe(model, text_input=args.text_input)
            if program is None:
                program = export_program(model, text_input=args.text_input)
            MODELS[path.suffix](program, path, metadata)
        print(f'Wrote {path}: {path.stat().st_size / 1e6:.1f} MB.')
        if args.check and path.suffix in MODELS:
            passed &= check(model, path, text_input=args.text_input)
    return passed


def check(model: OVSegmentor, path: Path, *, text_input: bool) -> bool:
    """Print how far a file is from its model; return whether that is near enough."""
    passed = True
    for shape, errors in measure_errors(model, path, text_input=text_input):
        most = errors.quantile(SHARE).item()
        near = most <= TOLERANCE
        words = 'equals the model' if near else 'DIFFERS from the model'
        sizes = '{} x 3 x {} x {}'.format(*shape)
        print(
            f'{path}, {sizes}: {words}, relative error {most:.1e} for {SHARE:.0%} of '
            f'the queries, {errors.max():.1e} at most.'
        )
        passed &= near
    return passed


def run(args: argparse.Namespace) -> int:
    """Export; return the exit status."""
    with exit_on_error(ImportError, RuntimeError):
        return 0 if export(args) else 1
