"""Export a model to torch.export (.pt2) and ONNX, and vocabularies to .npz.

    tools/deployment/export.py CONFIG model.onnx model.pt2 --checkpoint C.pth \\
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

import argparse
import sys

from mmovseg.cli.main import read_arguments, run_command


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    return read_arguments('export', argv, description=__doc__)


def main(argv: list[str] | None = None) -> int:
    return run_command('export', parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
