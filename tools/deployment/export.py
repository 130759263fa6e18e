"""Export a model to torch.export (.pt2) and ONNX, and vocabularies to .npz.

    tools/deployment/export.py CONFIG model.onnx model.pt2 --checkpoint C.pth \
        --classes "cat, cup; mug, stuff: table"
    tools/deployment/export.py CONFIG model.onnx --checkpoint C.pth --text-input
    tools/deployment/export.py CONFIG words.npz --checkpoint C.pth --classes "dog, hat"

The ending of a file says what goes into it. The classes are baked into models, or, with
--text-input, an input that takes the arrays of any .npz of the same config. Batch,
height and width are free: multiples of 32 from 64 on. docs/deployment.md describes
inputs and outputs; demo/onnx_demo.py runs the ONNX file without torch.

Exit status: 0, or 1 after an error or if --check finds a file that differs from the
model, or 2 if the options are wrong.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmovseg.command_line import exit_on_error, output_file
from mmovseg.vocabulary import Vocabulary


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', help='file, or the name of a packaged one')
    add('out', nargs='+', type=output_file, help='files to write: .onnx, .pt2, .npz')
    add('--checkpoint', help="weights; without any the model's trained part is random")
    add(
        *('--classes', '--vocabulary'),
        help='names with "," between classes and ";" between synonyms, "stuff:" before '
        "stuff; or a packaged vocabulary, or a file. Default: the config's",
    )
    add('--text-input', action='store_true', help='make the vocabulary an input')
    add('--check', action='store_true', help='run what was written beside the model')
    add(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override config values',
    )
    args = parser.parse_args(argv)
    for path in args.out:
        if path.suffix not in ('.onnx', '.pt2', '.npz'):
            parser.error(f'{path} must end with .onnx, .pt2 or .npz.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from mmovseg.analysis.export_check import SHARE, TOLERANCE, measure_errors
from mmovseg.apis import init_model
from mmovseg.apis.export import (
    describe,
    export_program,
    save_onnx,
    save_program,
    save_text,
)
from mmovseg.models.segmentors import OVSegmentor

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


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with exit_on_error(ImportError, RuntimeError):
        return 0 if export(args) else 1


if __name__ == '__main__':
    sys.exit(main())
