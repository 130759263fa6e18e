"""The main job: draw shapes, train EOV-Seg on them, evaluate, look at the results.

    python demo/shapeworld_demo.py --work-dir work_dirs/demo

Needs no download and no GPU. Afterwards the work folder holds

    data/shapeworld/            the data set, COCO panoptic format
    train/                      log and checkpoints
    predictions/*.png           image, ground truth and prediction, with a legend
    loss_curve.png              total loss of every iteration
    metrics.json                PQ, AP and mIoU on the validation images
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from mmengine.runner import Runner
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/eovseg/eovseg_tiny_shapeworld.py'
DRAW = ROOT / 'tools/dataset_converters/make_shapeworld.py'


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--num-train', type=int, default=1000)
    parser.add_argument('--num-val', type=int, default=100)
    parser.add_argument('--num-pictures', type=int, default=6)
    parser.add_argument(
        '--max-iters', type=int, default=700, help='about five minutes on two cores'
    )
    return parser.parse_args()


def load_config(args):
    """Return the config with the demo's folders and length."""
    from mmovseg.apis import load_config

    config = load_config(CONFIG)
    config.work_dir = str(args.work_dir / 'train')
    config.default_hooks.logger.interval = 10
    config.train_cfg.max_iters = args.max_iters
    decay = config.param_scheduler[-1]
    decay.end, decay.T_max = args.max_iters, args.max_iters - decay.begin
    # Evaluated once, by main().
    config.train_cfg.val_begin = args.max_iters + 1
    return config


def draw_predictions(config, checkpoint, folder, count):
    """Write image, ground truth and prediction of the first validation images."""
    from mmovseg.apis import OVSegInferencer, draw_panoptic, side_by_side

    root = Path(config.val_dataloader.dataset.data_root)
    truth = json.loads((root / 'annotations/panoptic_val.json').read_text())
    index = {category['id']: i for i, category in enumerate(truth['categories'])}
    inferencer = OVSegInferencer(config, str(checkpoint), show_progress=False)
    names = inferencer.model.vocabulary.names
    folder.mkdir(parents=True, exist_ok=True)
    for image, annotation in list(
        zip(truth['images'], truth['annotations'], strict=True)
    )[:count]:
        path = root / 'val' / image['file_name']
        rgb = np.asarray(Image.open(path).convert('RGB'))
        png = Image.open(root / 'annotations/panoptic_val' / annotation['file_name'])
        ids = np.asarray(png.convert('RGB')).astype(np.int64) @ [1, 256, 65536]
        segments = [
            dict(segment, category_id=index[segment['category_id']])
            for segment in annotation['segments_info']
        ]
        sample = inferencer(str(path), return_datasamples=True)['predictions'][0]
        result = sample.pred_panoptic_seg
        found = result.metainfo['segments_info']
        labels = {s['category_id'] for s in [*segments, *found]}
        picture = side_by_side(
            [
                rgb,
                draw_panoptic(rgb, ids, segments, names, legend=False),
                draw_panoptic(
                    rgb, result.sem_seg[0].numpy(), found, names, legend=False
                ),
            ],
            ['image', 'ground truth', 'prediction'],
            labels=sorted(labels),
            names=names,
        )
        Image.fromarray(picture).save(folder / f'{path.stem}.png')


def draw_loss(log_folder, path):
    """Plot the total loss from MMEngine's own log of scalars."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    newest = max(log_folder.glob('*/vis_data/scalars.json'), key=os.path.getmtime)
    rows = [json.loads(line) for line in newest.read_text().splitlines()]
    rows = [(row['step'], row['loss']) for row in rows if 'loss' in row]
    figure, axes = plt.subplots(figsize=(6, 3.5), layout='constrained')
    axes.plot(*zip(*rows, strict=True))
    axes.set(xlabel='iteration', ylabel='loss, all stages', yscale='log')
    axes.grid(alpha=0.3, which='both')
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main():
    args = parse_args()
    data = args.work_dir / 'data'
    os.environ['MMOVSEG_DATA'] = str(data)
    drawing = [sys.executable, str(DRAW), '--out', str(data / 'shapeworld')]
    drawing += ['--num-train', str(args.num_train), '--num-val', str(args.num_val)]
    subprocess.run(drawing, check=True)

    config = load_config(args)
    runner = Runner.from_cfg(config)
    runner.train()
    metrics = {k: float(v) for k, v in runner.val_loop.run().items()}

    checkpoint = Path((Path(config.work_dir) / 'last_checkpoint').read_text().strip())
    plain = {k: None if math.isnan(v) else v for k, v in metrics.items()}  # no JSON
    (args.work_dir / 'metrics.json').write_text(json.dumps(plain, indent=1))
    draw_loss(Path(config.work_dir), args.work_dir / 'loss_curve.png')
    draw_predictions(
        config, checkpoint, args.work_dir / 'predictions', args.num_pictures
    )
    print(f'\nOn {args.num_val} validation images:')
    for name, value in metrics.items():
        print(f'  {name:24} {value:.2f}')
    print(f'Pictures, loss curve and metrics: {args.work_dir}/')


if __name__ == '__main__':
    main()
