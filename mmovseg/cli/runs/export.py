"""Export a model, and vocabularies."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ...analysis.export_check import SHARE, TOLERANCE, measure_errors
from ...analysis.run_card import to_plain
from ...apis import init_model
from ...apis.export import (
    describe,
    export_program,
    save_onnx,
    save_program,
    save_text,
)
from ...command_line import exit_on_error, messages_on_stderr, print_json
from ...models.segmentors import OVSegmentor
from ...vocabulary import Vocabulary

MODELS = {'.onnx': save_onnx, '.pt2': save_program}


def export(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Write all files of the command line; return each one's size and check."""
    model = init_model(args.config, args.checkpoint, cfg_options=args.cfg_options)
    if args.classes is not None:
        model.set_vocabulary(Vocabulary.from_string(args.classes))
    program: Any = None
    files: list[dict[str, Any]] = []
    for path in args.out:
        if path.suffix == '.npz':
            save_text(model, model.vocabulary, path)
        else:
            # First: it finds mistakes sooner than tracing.
            metadata = describe(model, text_input=args.text_input)
            if program is None:
                program = export_program(model, text_input=args.text_input)
            MODELS[path.suffix](program, path, metadata)
        size = path.stat().st_size
        print(f'Wrote {path}: {size / 1e6:.1f} MB.')
        files.append(dict(file=str(path), bytes=size, checks=[]))
        if args.check and path.suffix in MODELS:
            files[-1]['checks'] = check(model, path, text_input=args.text_input)
    return files


def check(model: OVSegmentor, path: Path, *, text_input: bool) -> list[dict[str, Any]]:
    """Print how far a file is from its model, and return it by the shape of inputs."""
    checks = []
    for shape, errors in measure_errors(model, path, text_input=text_input):
        most = errors.quantile(SHARE).item()
        near = most <= TOLERANCE
        words = 'equals the model' if near else 'DIFFERS from the model'
        sizes = '{} x 3 x {} x {}'.format(*shape)
        print(
            f'{path}, {sizes}: {words}, relative error {most:.1e} for {SHARE:.0%} of '
            f'the queries, {errors.max():.1e} at most.'
        )
        checks.append(
            dict(
                shape=[shape[0], 3, *shape[1:]],
                equal=near,
                error=most,
                largest_error=errors.max().item(),
            )
        )
    return checks


def run(args: argparse.Namespace) -> int:
    """Export; return the exit status."""
    with exit_on_error(ImportError, RuntimeError), messages_on_stderr(args.json):
        files = export(args)
    passed = all(x['equal'] for file in files for x in file['checks'])
    if args.json:
        print_json(to_plain(dict(files=files, passed=passed)))
    return 0 if passed else 1
