"""DeOP from nothing: its three training stages and SimBaseline, tiny, on a CPU.

    python demo/deop_demo.py --work-dir work_dirs/deop

Draws shapes (or takes 13 real photos: --data cocostuff-sample, with MMOVSEG_DATA naming
the folder that holds tiny_cocostuff/), then runs what configs/deop/README.md tells to
run for the real models: prompt, proposals, DeOP, each from the files of the stages
before, and the evaluation of DeOP and of SimBaseline. Afterwards the work folder holds

    {prompt,proposals,deop}/    logs and checkpoints of the stages
    simbaseline.pth             SimBaseline, put together from stages 1 and 2
    metrics.json                seconds, losses and metrics
    pictures/                   predictions, and heatmaps of three classes
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

from mmovseg.fileio import write_atomic

SHOWN = {
    'shapeworld-zs': 'water, snow, tiles',
    'cocostuff-sample': 'person, sky-other, grass',
}


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/deop'))
    parser.add_argument('--data', choices=list(SHOWN), default='shapeworld-zs')
    parser.add_argument('--num-train', type=int, default=1000, help='images to draw')
    parser.add_argument('--num-val', type=int, default=100, help='images to draw')
    parser.add_argument(
        '--length', type=float, default=1.0, help='share of the iterations to run'
    )
    args = parser.parse_args()
    if min(args.num_train, args.num_val) < 1:
        parser.error('--num-train and --num-val must be at least 1.')
    if not 0 < args.length < math.inf:
        parser.error(f'--length must be above 0, got {args.length}.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from mmovseg.apis import load_config

ROOT = Path(__file__).resolve().parents[1]
STAGES = ('prompt', 'proposals', 'deop')


def run(tool, *arguments):
    """Run one of our tools; its output goes to ours."""
    command = [sys.executable, str(ROOT / tool), *map(str, arguments)]
    print(f'$ {" ".join(command[1:])}', flush=True)
    subprocess.run(command, check=True)


def schedule_options(config, length):
    """Return the options that shorten a schedule."""
    iterations = max(2, round(config.train_cfg.max_iters * length))
    warm_up = min(config.param_scheduler[0].end, iterations // 2)
    options = {
        'train_cfg.max_iters': iterations,
        'param_scheduler.0.end': warm_up,
        'param_scheduler.1.begin': warm_up,
        'param_scheduler.1.end': iterations,
        'param_scheduler.1.T_max': iterations - warm_up,
        'default_hooks.logger.interval': max(1, min(10, iterations // 10)),
    }
    if 'val_interval' in config.train_cfg:
        options['train_cfg.val_interval'] = iterations
    return [f'{key}={value}' for key, value in options.items()]


def read_log(folder):
    """Return the first and last loss, and the metrics of the last validation."""
    newest = max(folder.glob('*/vis_data/scalars.json'), key=os.path.getmtime)
    rows = [json.loads(line) for line in newest.read_text().splitlines()]
    losses = [row['loss'] for row in rows if 'loss' in row]
    metrics = [row for row in rows if 'loss' not in row]
    found = dict(first_loss=losses[0], last_loss=losses[-1])
    for key, value in (metrics[-1] if metrics else {}).items():
        if '/' in key:
            found[key.split('/')[1]] = value
    return found


def train(name, args, parents):
    """Train a stage from the checkpoints of others; return what it measured."""
    config = f'deop_tiny_{args.data}' if name == 'deop' else f'{name}_tiny_{args.data}'
    options = schedule_options(load_config(config), args.length)
    folder = args.work_dir / name
    init = ['--init-from', *parents] if parents else []
    start = time.perf_counter()
    path = ROOT / f'configs/deop/{config}.py'
    run('tools/train.py', path, '--work-dir', folder, *init, '--cfg-options', *options)
    return dict(seconds=time.perf_counter() - start, **read_log(folder))


def evaluate(config, checkpoint, folder):
    """Evaluate a checkpoint; return seconds and metrics."""
    start = time.perf_counter()
    path = ROOT / f'configs/deop/{config}.py'
    run('tools/test.py', path, checkpoint, '--work-dir', folder)
    seconds = time.perf_counter() - start
    newest = max(folder.glob('*/*.json'), key=os.path.getmtime)
    rows = json.loads(newest.read_text().splitlines()[-1])
    metrics = {k.split('/')[1]: v for k, v in rows.items() if '/' in k}
    return dict(seconds=seconds, **metrics)


def last_checkpoint(folder):
    return Path((folder / 'last_checkpoint').read_text().strip())


def draw(config, checkpoint, args):
    """Draw predictions and heatmaps of a few photos."""
    dataset = load_config(config).test_dataloader.dataset
    prefix = dataset.data_prefix
    images = Path(dataset.data_root) / (prefix.get('img') or prefix.get('img_path'))
    photos = sorted([*images.glob('*.png'), *images.glob('*.jpg')])[:4]
    run(
        'demo/image_demo.py',
        *photos,
        *('--config', config, '--checkpoint', checkpoint, '--task', 'semantic'),
        *('--show-heatmaps', SHOWN[args.data]),
        *('--out-dir', args.work_dir / 'pictures'),
    )


def main():
    args = parse_args()
    if args.data == 'shapeworld-zs':
        data = args.work_dir / 'data'
        os.environ['MMOVSEG_DATA'] = str(data)
        sizes = ['--num-train', args.num_train, '--num-val', args.num_val]
        tool = 'tools/dataset_converters/make_shapeworld.py'
        run(tool, '--out', data / 'shapeworld', *sizes)
    results, checkpoints = {}, []
    for name in STAGES:
        results[name] = train(name, args, checkpoints)
        checkpoints.append(last_checkpoint(args.work_dir / name))
    assembled = args.work_dir / 'simbaseline.pth'
    simbaseline = f'simbaseline_tiny_{args.data}'
    tool = 'tools/model_converters/assemble_stages.py'
    run(tool, simbaseline, assembled, *checkpoints[:2])
    results['simbaseline'] = evaluate(
        simbaseline, assembled, args.work_dir / 'simbaseline'
    )
    draw(f'deop_tiny_{args.data}', checkpoints[-1], args)
    text = json.dumps(results, indent=1)
    write_atomic(args.work_dir / 'metrics.json', text.encode())
    for name, values in results.items():
        shown = ', '.join(f'{key} {value:.2f}' for key, value in values.items())
        print(f'{name}: {shown}')
    print(f'Pictures, logs, checkpoints and metrics: {args.work_dir}/')


if __name__ == '__main__':
    main()
