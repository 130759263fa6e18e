"""Time EOV-Seg beside the official code: all of it, the backbone, everything else.

The figures of the official code are of another day on a shared machine of this kind:
two threads, 640 x 960, batch 1, 150 classes, panoptic output only, text cached. It was
not timed with more classes, so other vocabularies are compared with the same figures.
Example: tools/analysis_tools/compare_reference.py --vocabulary ade20k_150 ade20k_847
"""

import argparse
import sys
from typing import NamedTuple

import numpy as np
import torch

from mmovseg.apis.profiling import build_model, time_models, wait_passively


class Official(NamedTuple):
    """A size of EOV-Seg and the seconds that the official code takes."""

    config: str
    total: float
    backbone: float


SIZES = {
    's': Official('eovseg_r50_zs-ade20k', 3.67, 0.57),
    'm': Official('eovseg_r50x4_zs-ade20k', 4.23, 1.04),
    'l': Official('eovseg_convnext-l_zs-ade20k', 4.39, 2.42),
}
SHAPE = (640, 960)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--sizes', nargs='+', choices=SIZES, default=list(SIZES))
    parser.add_argument('--vocabulary', nargs='+', default=['ade20k_150'])
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--warmup', type=int, default=2, help='runs not counted [2]')
    parser.add_argument('--repeat', type=int, default=10, help='runs counted [10]')
    args = parser.parse_args()
    if min(args.threads, args.repeat) < 1 or args.warmup < 0:
        parser.error('--threads and --repeat must be at least 1, --warmup 0.')
    return args


def build(config):
    """Build a model that makes panoptic results only, without its text tower."""
    model = build_model(config)
    model.fusion.instance = model.fusion.semantic = False
    # Random rows stand for the text, and the tower is most of the memory.
    model.text_classifier.clip = None
    return model


def compare(times, official):
    """Return medians of total, backbone and the rest, each with its ratio."""
    total, backbone = np.array(times['total']), np.array(times['backbone'])
    # The difference of every run: medians do not add up.
    found = [np.median(x) for x in (total, backbone, total - backbone)]
    theirs = (
        official.total,
        official.backbone,
        official.total - official.backbone,
    )
    return [(ours, ref / ours) for ours, ref in zip(found, theirs, strict=True)]


def main():
    args = parse_args()
    wait_passively()
    torch.set_num_threads(args.threads)
    models = [build(SIZES[size].config) for size in args.sizes]
    inputs = torch.randn(1, 3, *SHAPE)
    print(
        f'{SHAPE[0]} x {SHAPE[1]}, {args.threads} threads, float32, torch '
        f'{torch.__version__}; seconds, median of {args.repeat} runs in turns; in '
        'brackets how many times faster than the official code\n'
    )
    print('| size | classes | total | backbone | everything else |')
    print('| --- | ---: | ---: | ---: | ---: |')
    for vocabulary in args.vocabulary:
        try:
            for model in models:
                model.set_vocabulary(vocabulary)
        except (OSError, ValueError) as error:
            sys.exit(f'error: --vocabulary: {error}')
        all_times = time_models(models, inputs, warmup=args.warmup, repeat=args.repeat)
        for size, model, times in zip(args.sizes, models, all_times, strict=True):
            cells = [
                f'{seconds:.2f} ({ratio:.2f})'
                for seconds, ratio in compare(times, SIZES[size])
            ]
            row = [size.upper(), str(len(model.vocabulary)), *cells]
            print(f'| {" | ".join(row)} |', flush=True)


if __name__ == '__main__':
    main()
