"""The main job: draw shapes, train EOV-Seg on them, evaluate, look at the results.

CLIP, which is packaged, has seen all classes; EOV-Seg trains on the seen ones alone and
is asked for all. As a control, the names of the classes are exchanged: a model that
reads them does not find the unseen classes then.

    python demo/shapeworld_demo.py --work-dir work_dirs/demo

Needs no download and no GPU. Afterwards the work folder holds

    data/shapeworld/            the data set, COCO panoptic format
    train/                      log and checkpoints
    predictions/*.png           image, ground truth and prediction; unseen classes
                                have a star
    words.png                   an image segmented into the classes of --words
    loss_curve.png              total loss of every iteration
    metrics.json                PQ, AP and mIoU on the validation images, and PQ
                                with exchanged names ("shuffled")
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path

from mmovseg.fileio import write_atomic
from mmovseg.vocabulary import Vocabulary

# Seen and unseen classes, some by synonyms.
WORDS = (
    'orange box, stripy triangle, red star, yellow disc, green star, green square, '
    'spotted disc, violet heart, stuff: snow, stuff: lawn, stuff: wood, stuff: sea, '
    'stuff: beach'
)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--num-train', type=int, default=1000)
    parser.add_argument('--num-val', type=int, default=100)
    parser.add_argument('--num-pictures', type=int, default=6)
    parser.add_argument(
        '--max-iters', type=int, default=500, help='iterations of training'
    )
    parser.add_argument(
        '--words',
        default=WORDS,
        help='classes to segment one more image into, such as "red star, stuff: wood"',
    )
    args = parser.parse_args(argv)
    least = dict(num_train=1, num_val=1, num_pictures=0, max_iters=2)
    for name, number in least.items():
        if getattr(args, name) < number:
            option = name.replace('_', '-')
            parser.error(f'--{option} must be at least {number}.')
    try:
        args.words = Vocabulary.from_string(args.words)
    except ValueError as error:
        parser.error(f'--words: {error}')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import numpy as np
from mmengine.runner import Runner
from PIL import Image

from mmovseg.analysis.exchanged_names import shuffle_names

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/eovseg/eovseg_tiny_shapeworld.py'
DRAW = ROOT / 'tools/dataset_converters/make_shapeworld.py'


def load_config(args):
    """Return the config with the demo's folders and length."""
    from mmovseg.apis import load_config

    config = load_config(CONFIG)
    config.work_dir = str(args.work_dir / 'train')
    config.default_hooks.logger.interval = 10
    config.train_cfg.max_iters = args.max_iters
    warm_up, decay = config.param_scheduler
    warm_up.end = decay.begin = min(warm_up.end, args.max_iters // 2)
    decay.end, decay.T_max = args.max_iters, args.max_iters - decay.begin
    # Evaluated once, by main().
    config.train_cfg.val_begin = args.max_iters + 1
    return config


def read_truth(data_root, names):
    """Yield path, segment ids and segments of the validation images."""
    from mmovseg.formats.panoptic_format import read_segment_ids

    root = Path(data_root)
    truth = json.loads((root / 'annotations/panoptic_val.json').read_text())
    index = {x['id']: names.index(x['name']) for x in truth['categories']}
    for image, annotation in zip(truth['images'], truth['annotations'], strict=True):
        png = root / 'annotations/panoptic_val' / annotation['file_name']
        ids = read_segment_ids(str(png))
        segments = [
            dict(segment, category_id=index[segment['category_id']])
            for segment in annotation['segments_info']
        ]
        yield root / 'val' / image['file_name'], ids, segments


def draw_prediction(inferencer, path, panels, target):
    """Draw an image, given panels of it (title, ids, segments), and the prediction."""
    from mmovseg.apis import draw_panoptic, side_by_side
    from mmovseg.formats.image_file import read_photo

    sample = inferencer(str(path), return_datasamples=True)['predictions'][0]
    found = sample.pred_panoptic_seg
    segments = found.metainfo['segments_info']
    panels = [*panels, ('prediction', found.sem_seg[0].numpy(), segments)]
    rgb = read_photo(str(path))[..., ::-1]
    names = inferencer.model.vocabulary.names
    unseen = set(np.flatnonzero(~inferencer.model.seen.numpy()).tolist())
    drawn = [
        draw_panoptic(rgb, ids, shown, names, legend=False, unseen=unseen)
        for _, ids, shown in panels
    ]
    picture = side_by_side(
        [rgb, *drawn],
        ['image', *(title for title, _, _ in panels)],
        labels=sorted({x['category_id'] for _, _, shown in panels for x in shown}),
        names=names,
        unseen=unseen,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(target)


def draw_predictions(config, checkpoint, args):
    """Draw some validation images; then the one with most unseen classes, in words."""
    from mmovseg.apis import OVSegInferencer

    inferencer = OVSegInferencer(
        config, str(checkpoint), device='cpu', show_progress=False
    )
    names, seen = inferencer.model.vocabulary.names, inferencer.model.seen.tolist()
    images = list(read_truth(config.val_dataloader.dataset.data_root, names))
    for path, ids, segments in images[: args.num_pictures]:
        target = args.work_dir / 'predictions' / f'{path.stem}.png'
        draw_prediction(inferencer, path, [('ground truth', ids, segments)], target)

    def count_unseen(image):
        labels = {segment['category_id'] for segment in image[2]}
        return sum(not seen[label] for label in labels)

    path, _, _ = max(images, key=count_unseen)
    inferencer.set_vocabulary(args.words)
    draw_prediction(inferencer, path, [], args.work_dir / 'words.png')


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


def evaluate(runner):
    """Return all metrics, and some of the same model with exchanged names."""
    metrics = {k: float(v) for k, v in runner.val_loop.run().items()}
    vocabulary = runner.model.vocabulary
    print('\nThe same with the names of the classes exchanged:')
    for metric in runner.val_evaluator.metrics:
        metric.classwise = False
    runner.model.set_vocabulary(shuffle_names(vocabulary))
    control = runner.val_loop.run()
    runner.model.set_vocabulary(vocabulary)
    for name in ('PQ', 'PQ_seen', 'PQ_unseen'):
        metrics[f'shuffled/{name}'] = float(control[f'panoptic/{name}'])
    return metrics


def main(argv=None):
    args = parse_args(argv)
    data = args.work_dir / 'data'
    os.environ['MMOVSEG_DATA'] = str(data)
    drawing = [sys.executable, str(DRAW), '--out', str(data / 'shapeworld')]
    drawing += ['--num-train', str(args.num_train), '--num-val', str(args.num_val)]
    subprocess.run(drawing, check=True)

    config = load_config(args)
    runner = Runner.from_cfg(config)
    runner.train()
    metrics = evaluate(runner)

    checkpoint = Path((Path(config.work_dir) / 'last_checkpoint').read_text().strip())
    plain = {k: None if math.isnan(v) else v for k, v in metrics.items()}  # no JSON
    text = json.dumps(plain, indent=1)
    write_atomic(args.work_dir / 'metrics.json', text.encode())
    draw_loss(Path(config.work_dir), args.work_dir / 'loss_curve.png')
    draw_predictions(config, checkpoint, args)
    print(f'\nOn {args.num_val} validation images:')
    for name, value in metrics.items():
        print(f'  {name:24} {value:.2f}')
    print(f'Pictures, loss curve and metrics: {args.work_dir}/')


if __name__ == '__main__':
    main()
