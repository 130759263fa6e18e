"""Time the transforms of a data pipeline, one by one, and its loader with workers.

--data-of takes the pictures of another config, so that a pipeline can be timed without
its own data, for instance on drawn ones (make_shapeworld.py --image-size 640):
tools/analysis_tools/benchmark_data.py eovseg_r50_coco --data-of eovseg_tiny_shapeworld
"""

import argparse
import time

from mmovseg.command_line import exit_on_error


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config file, or the name of a packaged one')
    parser.add_argument('--data-of', metavar='CONFIG', help="data [CONFIG's own]")
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument('--images', type=int, default=100, help='timed [100]')
    parser.add_argument('--workers', type=int, help="of the loader [the config's]")
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override config values',
    )
    args = parser.parse_args()
    if args.images < 1 or (args.workers or 0) < 0:
        parser.error('--images must be at least 1, --workers 0.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import numpy as np
from mmengine.runner import Runner

from mmovseg.analysis.loaders import read_loader
from mmovseg.analysis.profiling import wait_passively
from mmovseg.datasets.seeded_sampler import SeededIndex
from mmovseg.registry import DATASETS


def time_transforms(dataset, count):
    """Return seconds by transform of samples in turns, and how many gave none."""
    seconds, refused = {}, 0
    for number in range(count):
        index = SeededIndex(number % len(dataset))
        index.entropy = (0, number)  # every run draws the same augmentations
        data = dataset.get_data_info(index)
        data['sample_idx'] = index
        for place, transform in enumerate(dataset.pipeline.transforms):
            start = time.perf_counter()
            data = transform(data)
            took = time.perf_counter() - start
            name = f'{place} {type(transform).__name__}'
            seconds.setdefault(name, []).append(took)
            if data is None:
                refused += 1
                break
    return seconds, refused


def time_loader(config, count):
    """Return images per second of the loader, after its first batch."""
    batches = iter(Runner.build_dataloader(config, seed=0))
    next(batches)
    start, images = time.perf_counter(), 0
    while images < count:
        batch = next(batches, None)
        if batch is None:
            break
        images += len(batch['inputs'])
    return images / (time.perf_counter() - start)


def main():
    args = parse_args()
    wait_passively()
    with exit_on_error():
        loader = read_loader(
            args.config,
            args.split,
            data_of=args.data_of,
            workers=args.workers,
            cfg_options=args.cfg_options,
        )
        dataset = DATASETS.build(loader.dataset)
    seconds, refused = time_transforms(dataset, args.images)
    print('| transform | median ms | p95 ms | share |\n| --- | ---: | ---: | ---: |')
    total = sum(sum(times) for times in seconds.values())
    for name, times in seconds.items():
        median, p95 = (1000 * np.percentile(times, q) for q in (50, 95))
        share = 100 * sum(times) / total
        print(f'| {name} | {median:.2f} | {p95:.2f} | {share:.0f} % |')
    print(f'\nOne process: {args.images / total:.1f} images/s')
    if refused:
        print(f'{refused} of {args.images} samples were refused by a transform.')
    speed = time_loader(loader, args.images)
    print(
        f'Loader, {loader.num_workers} workers, batches of {loader.batch_size}: '
        f'{speed:.1f} images/s after the first batch'
    )


if __name__ == '__main__':
    main()
