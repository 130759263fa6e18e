"""Export a model to torch.export (.pt2) and ONNX, and vocabularies to .npz.

    mmovseg export CONFIG model.onnx model.pt2 --checkpoint C.pth \\
        --classes "cat, cup; mug, stuff: table"
    mmovseg export CONFIG model.onnx --checkpoint C.pth --text-input
    mmovseg export CONFIG words.npz --checkpoint C.pth --classes "dog, hat"

The ending of a file says what goes into it. The classes are baked into models, or, with
--text-input, an input that takes the arrays of any .npz of the same config. Batch,
height and width are free: multiples of 32 from 64 on. docs/deployment.md describes
inputs and outputs; demo/onnx_demo.py runs the ONNX file without torch.
"""

from __future__ import annotations

import argparse

from ..command_line import output_file
from .options import add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
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
    add_json(parser)
    add('--check', action='store_true', help='run what was written beside the model')
    add(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override config values',
    )


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the options together."""
    for path in args.out:
        if path.suffix not in ('.onnx', '.pt2', '.npz'):
            parser.error(f'{path} must end with .onnx, .pt2 or .npz.')
