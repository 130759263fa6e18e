"""Put a closed-vocabulary network and a frozen CLIP together, and evaluate them.

    python tools/dataset_converters/make_shapeworld.py --size full --num-train 3000
    python tools/train.py projects/shapeworld/configs/training_free/mask2former_tiny.py
    python -m projects.shapeworld.evaluate_training_free \\
        work_dirs/mask2former_tiny/iter_2400.pth

The network knows the 47 seen classes by their numbers, CLIP has read all names. Nothing
is trained here. The folder of the checkpoint gets network/, as transformers saves it,
and training_free.json with the figures of every row, each also with exchanged names.
Rows that are there are not measured again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner

from mmovseg.analysis.exchanged_names import shuffle_names
from mmovseg.apis import init_model, load_checkpoint, load_config
from mmovseg.fileio import write_atomic
from mmovseg.registry import MODELS

CONFIGS = Path(__file__).parent / 'configs' / 'training_free'
PREFIXES = ('panoptic/PQ', 'semantic/mIoU', 'semantic/hIoU', 'instance/segm_mAP')
RN, VIT = 'mask2former_tiny-rn', 'mask2former_tiny-vit'
MIXED = dict(alpha=0.4, beta=0.8)  # of the packaged training-free models
VOTES = dict(alpha=0.0, beta=0.0)
# Title: config, and what differs from it in the model, by dotted name.
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    'most probable known class': (RN, dict(ensemble=VOTES, num_known=1)),
    'votes of known classes (ConSE)': (RN, dict(ensemble=VOTES)),
    'CLIP CNN': (RN, dict(ensemble=None)),
    'CLIP CNN and votes': (RN, dict(ensemble=MIXED)),
    'CLIP ViT, not severed': (VIT, {'ensemble': None, 'backbone.severance': []}),
    'CLIP ViT, severed': (VIT, dict(ensemble=None)),
    'CLIP ViT, severed, and votes': (VIT, dict(ensemble=MIXED)),
}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', type=Path, help='of mask2former_tiny')
    parser.add_argument('--num-images', type=int, help='the first ones; default: all')
    args = parser.parse_args(argv)
    if args.num_images is not None and args.num_images < 1:
        parser.error(f'--num-images must be at least 1, got {args.num_images}')
    return args


def export_network(checkpoint: Path, folder: Path) -> None:
    """Write the trained network as transformers does."""
    model = MODELS.build(load_config(CONFIGS / 'mask2former_tiny.py').model)
    load_checkpoint(model, checkpoint)
    model.save_network(folder)


def make_config(row: str, network: Path) -> Config:
    """Return the config of a row."""
    name, changes = ROWS[row]
    changes = dict(changes, **{'proposals.pretrained': str(network)})
    options = {f'model.{key}': value for key, value in changes.items()}
    return load_config(CONFIGS / f'{name}.py', options)


@torch.no_grad()
def measure(model: Any, loader: Any, metrics: list) -> dict[str, float]:
    """Return the figures of a model with the vocabulary that it has."""
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = loader.dataset.metainfo
    for batch in loader:
        evaluator.process(model.test_step(batch), batch)
    found = evaluator.evaluate(len(loader.dataset))
    return {
        name: None if math.isnan(value) else round(float(value), 3)
        for name, value in found.items()
        if name.startswith(PREFIXES)
    }


def evaluate_row(row: str, network: Path, num_images: int | None) -> dict[str, Any]:
    """Return the figures of a row, with its names and with exchanged ones."""
    config = make_config(row, network)
    model = init_model(config)
    loader = config.test_dataloader
    loader.update(num_workers=0, persistent_workers=False)
    if num_images is not None:
        loader.dataset.indices = num_images
    loader = Runner.build_dataloader(loader)
    for metric in config.test_evaluator:
        metric['classwise'] = False
    own = model.vocabulary
    found = dict(names=measure(model, loader, config.test_evaluator))
    model.set_vocabulary(shuffle_names(own))
    panoptic = config.test_evaluator[:1]
    return dict(found, exchanged=measure(model, loader, panoptic))


def main(argv: list[str] | None = None) -> None:
    """Evaluate every row that has no figures yet, and print all."""
    args = parse_args(argv)
    network = args.checkpoint.parent / 'network'
    target = network.with_name('training_free.json')
    try:
        key = hashlib.sha256(args.checkpoint.read_bytes()).hexdigest()
        known = json.loads(target.read_text()) if target.is_file() else {}
        about = dict(checkpoint=key, num_images=args.num_images)
        if known.get('about') != about:
            known = dict(about=about, rows={})
            export_network(args.checkpoint, network)
        for row in ROWS:
            if row not in known['rows']:
                known['rows'][row] = evaluate_row(row, network, args.num_images)
                write_atomic(target, (json.dumps(known, indent=1) + '\n').encode())
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    names = ('PQ_seen', 'PQ_unseen', 'PQ')
    for row, found in known['rows'].items():
        values = [found['names'][f'panoptic/{x}'] for x in names]
        control = [found['exchanged'][f'panoptic/{x}'] for x in names[:2]]
        print(f'{row:38} PQ {values}, exchanged {control}')
    print(f'Wrote {target}.')


if __name__ == '__main__':
    main()
