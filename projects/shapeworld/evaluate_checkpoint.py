"""Evaluate the packaged checkpoint on a few drawn pictures; write its figures down.

    python -m projects.shapeworld.evaluate_checkpoint tiny --write

With --write, metrics.json beside the checkpoint gets the figures, the command and the
arguments of the data set, so that a test can repeat them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from pathlib import Path

from mmengine.evaluator import Evaluator
from mmengine.runner import Runner

from mmovseg.apis import init_model, load_config
from mmovseg.apis.checkpoint import find_checkpoint
from mmovseg.datasets.shapeworld_files import write_split
from mmovseg.fileio import write_atomic

CONFIG = 'fcclip_tiny_shapeworld'
PREFIXES = ('panoptic/PQ', 'semantic/mIoU', 'instance/segm_mAP')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', nargs='?', default='tiny')
    parser.add_argument('--config', default=CONFIG, help='[%(default)s]')
    parser.add_argument('--num-images', type=int, default=40)
    parser.add_argument('--size', type=int, default=128, help='of an image, in pixels')
    parser.add_argument('--seed', type=int, default=1, help='of the pictures')
    parser.add_argument('--write', action='store_true', help='write metrics.json')
    args = parser.parse_args(argv)
    if args.num_images < 1:
        parser.error(f'--num-images must be at least 1, got {args.num_images}.')
    return args


def evaluate(
    checkpoint: str, data: dict[str, int], config_name: str = CONFIG
) -> dict[str, float | None]:
    """Return the figures of a checkpoint; ``data``: arguments of write_split."""
    with tempfile.TemporaryDirectory() as folder:
        write_split(Path(folder) / 'shapeworld', 'val', **data)
        before = os.environ.get('MMOVSEG_DATA')
        os.environ['MMOVSEG_DATA'] = folder
        try:
            config = load_config(config_name)
        finally:
            os.environ.pop('MMOVSEG_DATA')
            if before is not None:
                os.environ['MMOVSEG_DATA'] = before
        loader = config.test_dataloader
        loader.update(num_workers=0, persistent_workers=False)
        model = init_model(config, checkpoint)
        loader = Runner.build_dataloader(loader)
        evaluator = Evaluator(config.test_evaluator)
        evaluator.dataset_meta = loader.dataset.metainfo
        for batch in loader:
            evaluator.process(model.test_step(batch), batch)
        metrics = evaluator.evaluate(len(loader.dataset))
    return {
        name: None if math.isnan(value) else round(float(value), 3)
        for name, value in metrics.items()
        if name.startswith(PREFIXES)
    }


def main(argv: list[str] | None = None) -> None:
    """Evaluate, print and write."""
    args = parse_args(argv)
    data = dict(num_images=args.num_images, size=args.size, seed=args.seed)
    try:
        checkpoint = find_checkpoint(args.checkpoint)
        metrics = evaluate(checkpoint, data, args.config)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    for name, value in metrics.items():
        print(f'{name:28} {value}')
    if args.write:
        options = ' '.join(sys.argv[1:] if argv is None else argv)
        command = f'python -m projects.shapeworld.evaluate_checkpoint {options}'
        content = dict(command=command, data=data, metrics=metrics)
        path = Path(checkpoint).with_name('metrics.json')
        write_atomic(path, (json.dumps(content, indent=1) + '\n').encode())
        print(f'Wrote {path}.')


if __name__ == '__main__':
    main()
