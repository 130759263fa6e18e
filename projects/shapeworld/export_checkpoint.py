"""Make a small file of a training's checkpoint: what was trained, in half precision.

    python -m projects.shapeworld.export_checkpoint work_dirs/demo/train/iter_500.pth \\
        mmovseg/models/tiny_eovseg/eovseg_tiny_shapeworld.safetensors

Left out are the optimizer and the frozen weights that are packaged anyway, where the
checkpoint has the same values; all others are kept. Numbers (no arrays) and integers
keep their precision. The file is loaded like any checkpoint, by init_model() and
tools/test.py.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from mmovseg.apis import init_model
from mmovseg.apis.config import packaged_towers
from mmovseg.fileio import atomic_path


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('src', type=Path, help='checkpoint of a training')
    parser.add_argument('dst', type=Path, help='file to write (.safetensors)')
    parser.add_argument(
        '--config',
        default='eovseg_tiny_shapeworld',
        help='file or packaged name; default: %(default)s',
    )
    args = parser.parse_args(argv)
    if args.dst.suffix != '.safetensors':
        parser.error(f'the file must end with .safetensors, got {str(args.dst)!r}.')
    return args


def shorten(value: Tensor, name: str) -> Tensor:
    """Return a weight in half precision, where that can be."""
    if not value.is_floating_point() or value.ndim == 0:
        return value.clone()
    half = value.half().contiguous()
    if not half.isfinite().all():
        raise ValueError(
            f'{name} does not fit into half precision: its largest value is '
            f'{value.abs().max():g}.'
        )
    return half


def select(config: str, src: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Return what the file has to hold, and the names of packaged weights."""
    state = init_model(config, src).state_dict()
    untrained = init_model(config)
    built, towers = untrained.state_dict(), packaged_towers(untrained.cfg.model)
    packaged = [
        name
        for name, value in state.items()
        if name.startswith(towers or ' ') and torch.equal(value, built[name])
    ]
    kept = set(state) - set(packaged)
    return {name: shorten(state[name], name) for name in sorted(kept)}, packaged


def main(argv: list[str] | None = None) -> None:
    """Export one checkpoint and report."""
    args = parse_args(argv)
    try:
        weights, packaged = select(args.config, args.src)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    metadata = dict(config=args.config, format='pt', source=args.src.name)
    with atomic_path(args.dst) as draft:
        save_file(weights, draft, metadata=metadata)
    sizes = Counter()
    for name, value in weights.items():
        sizes['.'.join(name.split('.')[:2])] += value.nbytes
    for part, size in sizes.items():
        print(f'  {part:32} {size / 1e6:8.3f} MB')
    print(f'{len(packaged)} weights are packaged and left out.')
    print(f'Wrote {args.dst}: {args.dst.stat().st_size / 1e6:.2f} MB.')


if __name__ == '__main__':
    main()
