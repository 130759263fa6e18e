"""Export a model to torch.export (.pt2) and ONNX, and vocabularies to .npz.

    tools/deployment/export.py CONFIG model.onnx model.pt2 --checkpoint C.pth \
        --classes "cat, cup; mug, stuff: table"
    tools/deployment/export.py CONFIG model.onnx --checkpoint C.pth --text-input
    tools/deployment/export.py CONFIG words.npz --checkpoint C.pth --classes "dog, hat"

The ending of a file says what goes into it. The classes are baked into models, or, with
--text-input, an input that takes the arrays of any .npz of the same config. Batch,
height and width are free: multiples of 32 from 64 on. docs/deployment.md describes
inputs and outputs; demo/onnx_demo.py runs the ONNX file without torch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import DictAction

from mmovseg.apis import init_model
from mmovseg.apis.export import (
    describe,
    export_program,
    save_onnx,
    save_program,
    save_text,
)
from mmovseg.vocabulary import Vocabulary

MODELS = {'.onnx': save_onnx, '.pt2': save_program}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', help='file, or the name of a packaged one')
    add('out', nargs='+', type=Path, help='files to write: .onnx, .pt2, .npz')
    add('--checkpoint', help="weights; without any the model's trained part is random")
    add(
        *('--classes', '--vocabulary'),
        help='names with "," between classes and ";" between synonyms, "stuff:" before '
        "stuff; or a packaged vocabulary, or a file. Default: the config's",
    )
    add('--text-input', action='store_true', help='make the vocabulary an input')
    add(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override config values',
    )
    args = parser.parse_args(argv)
    for path in args.out:
        if path.suffix not in (*MODELS, '.npz'):
            parser.error(f'{path} must end with .onnx, .pt2 or .npz.')
    return args


def export(args: argparse.Namespace) -> None:
    """Write all files of the command line."""
    model = init_model(args.config, args.checkpoint, cfg_options=args.cfg_options)
    if args.classes is not None:
        model.set_vocabulary(Vocabulary.from_string(args.classes))
    program = None
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


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        export(args)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
