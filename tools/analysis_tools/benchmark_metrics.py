"""Measure memory and time of the metrics on drawn images.

Memory is the highest resident size over that before the metric was built, its JSON and
the final evaluation included. PanopticMetric is timed in turns with the definition of
panopticapi in plain numpy; both read the PNG of the annotation, and have to agree.
Example: tools/analysis_tools/benchmark_metrics.py --images 2000
Measured on two busy cores, 2,000 images of 512 x 683 with 150 classes: PanopticMetric
36 MB, SemanticMetric 36 MB and 14 ms per image, InstanceMetric (100 masks per image)
244 MB, most of it the JSON of 78,000 instances, and 135 ms.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

KINDS = ('panoptic', 'semantic', 'instance')


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=2000)
    parser.add_argument(
        '--shape', type=int, nargs=2, default=[512, 683], metavar=('H', 'W')
    )
    parser.add_argument('--classes', type=int, default=150)
    parser.add_argument('--metrics', nargs='+', choices=KINDS, default=KINDS)
    args = parser.parse_args()
    if min(args.images, args.classes, *args.shape) < 1:
        parser.error('--images, --classes and --shape must be at least 1.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import cv2
import numpy as np
import torch
from mmengine.logging import MMLogger
from pycocotools import mask as rle

from mmovseg.analysis.profiling import wait_passively
from mmovseg.evaluation import InstanceMetric, PanopticMetric, SemanticMetric
from mmovseg.formats.panoptic_format import (
    PanopticAnnotations,
    id_to_rgb,
    read_segment_ids,
)

DIVISOR = 1000
NUM_DRAWN = 20  # different maps; the images of the JSON take them in turns
NUM_INSTANCES = 100  # predicted per image, as MaskFusion gives
PIXELS_PER_BLOCK = 16


def draw_ids(rng, shape):
    """Draw up to 40 segments with wavy borders, 0 is void."""
    size = [-(-x // PIXELS_PER_BLOCK) for x in shape]
    seeds = rng.uniform(0, 1, (41, 2)) * shape
    grid = np.stack(np.mgrid[: shape[0], : shape[1]], -1).astype(np.float32)
    noise = rng.normal(0, 10, (*size, 2)).astype(np.float32)
    grid += cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_LINEAR)
    distance = [((grid - seed) ** 2).sum(-1) for seed in seeds.astype(np.float32)]
    return np.argmin(distance, 0)


def write_data(folder, args):
    """Write PNGs, and the panoptic and instance JSON of all images."""
    rng = np.random.default_rng(0)
    shape = tuple(args.shape)
    (folder / 'png').mkdir()
    drawn = []
    for number in range(NUM_DRAWN):
        ids = draw_ids(rng, shape)
        cv2.imwrite(str(folder / 'png' / f'{number}.png'), id_to_rgb(ids)[..., ::-1])
        labels = rng.integers(0, args.classes, ids.max() + 1)
        drawn.append((ids, labels))
    segments, objects = [], []
    for ids, labels in drawn:
        present = np.unique(ids[ids > 0])
        segments.append(
            [
                dict(id=int(i), category_id=int(labels[i]), iscrowd=0, area=1)
                for i in present
            ]
        )
        objects.append(
            [encode(ids == i) | dict(category_id=int(labels[i])) for i in present]
        )
    images = [
        dict(id=i, file_name=f'{i}.jpg', height=shape[0], width=shape[1])
        for i in range(args.images)
    ]
    categories = [
        dict(id=i, name=str(i), isthing=int(i % 3 > 0)) for i in range(args.classes)
    ]
    content = dict(images=images, categories=categories)
    panoptic = [
        dict(
            image_id=i,
            file_name=f'{i % NUM_DRAWN}.png',
            segments_info=segments[i % NUM_DRAWN],
        )
        for i in range(args.images)
    ]
    instances = [
        dict(item, image_id=i, iscrowd=0)
        for i in range(args.images)
        for item in objects[i % NUM_DRAWN]
    ]
    for number, item in enumerate(instances, 1):
        item['id'] = number
    for name, annotations in (('panoptic', panoptic), ('instance', instances)):
        (folder / f'{name}.json').write_text(
            json.dumps(content | dict(annotations=annotations))
        )
    np.savez(
        folder / 'drawn.npz',
        ids=np.array([ids for ids, _ in drawn], np.uint8),
        labels=np.array([np.resize(labels, 41) for _, labels in drawn]),
    )


def encode(mask):
    code = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    box = [float(x) for x in rle.toBbox(code)]
    code['counts'] = code['counts'].decode()
    return dict(segmentation=code, area=int(mask.sum()), bbox=box)


def predict(kind, number, ids, labels):
    """Guess something like the annotation: shifted, every fourth class another."""
    rng = np.random.default_rng(number)
    shift = tuple(rng.integers(-12, 13, 2))
    guess = np.roll(ids[number % NUM_DRAWN], shift, (0, 1)).astype(np.int64)
    classes = labels[number % NUM_DRAWN].copy()
    classes[::4] = rng.permutation(classes[::4])
    sample = dict(img_id=number, img_path=f'{number}.jpg', ori_shape=guess.shape)
    codes = torch.from_numpy(classes[guess] + DIVISOR * (guess + 1))
    sample['pred_panoptic_seg'] = dict(sem_seg=codes, label_divisor=DIVISOR)
    sample['pred_sem_seg'] = dict(sem_seg=torch.from_numpy(classes[guess]))
    if kind == 'instance':
        order = np.arange(NUM_INSTANCES) % 41
        sample['pred_instances'] = dict(
            bboxes=torch.zeros(NUM_INSTANCES, 4),
            labels=torch.from_numpy(classes[order]),
            scores=torch.from_numpy(rng.uniform(0, 1, NUM_INSTANCES)).float(),
            masks=torch.from_numpy(guess == order[:, None, None]),
        )
    return sample


class PlainPanoptic:
    """The definition of panoptic quality as panopticapi computes it, in plain numpy."""

    def __init__(self, folder):
        self.folder = folder
        self.images = PanopticAnnotations.load(str(folder / 'panoptic.json')).images
        self.stats = defaultdict(lambda: [0.0, 0, 0, 0])  # IoU, TP, FP, FN by class

    def process(self, sample):
        image = self.images[sample['img_id']]
        truth = read_segment_ids(str(self.folder / 'png' / image.png_name))
        guess = sample['pred_panoptic_seg']['sem_seg'].numpy()
        true_classes = {s['id']: s['category_id'] for s in image.segments}
        true_areas = dict(zip(*np.unique(truth, return_counts=True), strict=True))
        guess_areas = dict(zip(*np.unique(guess, return_counts=True), strict=True))
        pairs = truth.astype(np.uint64) * 2**24 + guess.astype(np.uint64)
        pairs, counts = np.unique(pairs, return_counts=True)
        shared = {
            (int(p) // 2**24, int(p) % 2**24): int(n)
            for p, n in zip(pairs, counts, strict=True)
        }
        found, right = set(), set()
        for (i, j), pixels in shared.items():
            if i not in true_classes or true_classes[i] != j % DIVISOR:
                continue
            union = true_areas[i] + guess_areas[j] - pixels - shared.get((0, j), 0)
            if pixels / union > 0.5:
                self.stats[true_classes[i]][0] += pixels / union
                self.stats[true_classes[i]][1] += 1
                found.add(i)
                right.add(j)
        for i, category in true_classes.items():
            self.stats[category][3] += i not in found
        for j, area in guess_areas.items():
            if j not in right and shared.get((0, j), 0) / area <= 0.5:
                self.stats[int(j) % DIVISOR][2] += 1

    def quality(self):
        values = [
            iou / (tp + (fp + fn) / 2)
            for iou, tp, fp, fn in self.stats.values()
            if tp + fp + fn
        ]
        return 100 * sum(values) / len(values)


def build_metric(kind, folder, num_classes):
    panoptic = dict(
        ann_file=str(folder / 'panoptic.json'), seg_prefix=str(folder / 'png')
    )
    if kind == 'instance':
        metric = InstanceMetric(ann_file=str(folder / 'instance.json'), metric='segm')
    else:
        metric = dict(panoptic=PanopticMetric, semantic=SemanticMetric)[kind](
            **panoptic
        )
    names = tuple(str(i) for i in range(num_classes))
    metric.dataset_meta = dict(classes=names, category_ids=tuple(range(num_classes)))
    return metric


def read_memory(name):
    """Give the resident size in MB: VmRSS at present, VmHWM at most."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{name}:'):
            return int(line.split()[1]) / 2**10
    raise RuntimeError(f'/proc/self/status has no {name}.')


def prepare():
    torch.set_num_threads(1)
    MMLogger.get_instance('benchmark', log_level='ERROR')


def measure(kind, folder, args):
    """Run one metric, in a process of its own; return what is printed of it."""
    with np.load(folder / 'drawn.npz') as file:
        data = file['ids'], file['labels']
    predict(kind, 0, *data)  # what the images need is no memory of the metric
    Path('/proc/self/clear_refs').write_text('5')  # sets VmHWM to VmRSS
    start = read_memory('VmRSS')
    metric, seconds = build_metric(kind, folder, args.classes), 0.0
    halfway = 0.0
    for number in range(args.images):
        sample = predict(kind, number, *data)
        begin = time.perf_counter()
        metric.process(None, [sample])
        seconds += time.perf_counter() - begin
        if number == args.images // 2:
            halfway = read_memory('VmRSS')
    end = read_memory('VmRSS')
    begin = time.perf_counter()
    metric.evaluate(args.images)
    final = time.perf_counter() - begin
    peak = read_memory('VmHWM')
    rows = [
        f'peak memory over the start   {peak - start:8.0f} MB',
        f'growth over the second half  {end - halfway:8.1f} MB',
        f'time per image               {1000 * seconds / args.images:8.1f} ms',
        f'time at the end              {final:8.1f} s',
    ]
    if kind == 'panoptic':
        rows.append(compare(folder, args, data))
    return rows


def compare(folder, args, data):
    """Time the metric and the plain definition in turns; give their medians."""
    metric = build_metric('panoptic', folder, args.classes)
    plain, times = PlainPanoptic(folder), []
    for number in range(args.images):
        sample = predict('panoptic', number, *data)
        start = time.perf_counter()
        metric.process(None, [sample])
        middle = time.perf_counter()
        plain.process(sample)
        times.append((middle - start, time.perf_counter() - middle))
    quality = plain.quality()
    found = metric.evaluate(args.images)['panoptic/PQ']
    if abs(quality - found) > 1e-9 * quality:
        raise RuntimeError(f'PQ is {found}, the definition gives {quality}.')
    ours, theirs = 1000 * np.median(times, 0)
    return (
        f'in turns with the definition {ours:8.1f} ms, that {theirs:.1f} ms (medians; '
        f'PQ {quality:.2f} for both)'
    )


def main():
    args = parse_args()
    wait_passively()
    if not Path('/proc/self/clear_refs').exists():
        sys.exit('error: memory is read from /proc, which this system lacks.')
    height, width = args.shape
    print(f'{args.images} images of {height} x {width}, {args.classes} classes')
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder), args)
        context = multiprocessing.get_context('spawn')
        for kind in args.metrics:
            with context.Pool(1, initializer=prepare) as pool:
                rows = pool.apply(measure, (kind, Path(folder), args))
            print('\n  '.join([kind, *rows]))


if __name__ == '__main__':
    main()
