"""Show where the error of a model is: what it would score if one part were right.

    python tools/analysis_tools/oracle.py eovseg_tiny_shapeworld tiny-eovseg

Every row changes one thing and keeps the rest: the true names on the predicted masks,
void right too, the predicted names on the true masks, only the names that an image
shows, no void. One forward pass per image serves all rows. The table is Markdown.
"""

import argparse
import sys

from mmovseg.command_line import (
    exit_on_error,
    output_file,
    pick_device,
    without_log,
)

METRICS = ('panoptic/PQ', 'panoptic/PQ_seen', 'panoptic/PQ_unseen', 'semantic/mIoU')


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or the name of a packaged one')
    parser.add_argument('checkpoint', help='file, tiny or tiny-eovseg')
    parser.add_argument('--num-images', type=int, help='the first ones only [all]')
    parser.add_argument(
        '--metrics', nargs='+', metavar='NAME', help=f'[{" ".join(METRICS)}]'
    )
    parser.add_argument('--out', type=output_file, help='write all metrics as JSON')
    parser.add_argument('--device', help='[cuda, or cpu without a GPU]')
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override config values'
    )
    args = parser.parse_args()
    args.device = pick_device(args.device)
    if args.num_images is not None and args.num_images < 1:
        parser.error(f'--num-images must be at least 1, got {args.num_images}.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from mmengine.runner import Runner

from mmovseg.analysis.oracle import evaluate_oracles
from mmovseg.analysis.run_card import describe_place, write_card
from mmovseg.apis import init_model
from mmovseg.apis.runtime import load_run_config
from mmovseg.fileio import did_you_mean


def evaluate(args):
    """Return the metrics by oracle."""
    config = load_run_config(args.config, args.cfg_options)
    model = init_model(config, args.checkpoint, args.device)
    loader = config.test_dataloader
    loader.update(num_workers=0, persistent_workers=False, batch_size=1)
    if args.num_images is not None:
        loader.dataset.indices = args.num_images
    metrics = config.test_evaluator
    metrics = metrics if isinstance(metrics, (list, tuple)) else [metrics]
    return evaluate_oracles(model, Runner.build_dataloader(loader), metrics)


def main():
    args = parse_args()
    with exit_on_error(TypeError), without_log():  # tables of six evaluations
        found = evaluate(args)
        if args.out:
            write_card(args.out, dict(**describe_place(), oracles=found))
    known = next(iter(found.values()))
    unknown = [name for name in args.metrics or () if name not in known]
    asked = METRICS if unknown else args.metrics or METRICS
    metrics = [name for name in asked if name in known]
    rows = [['', *metrics], ['---'] * (len(metrics) + 1)]
    rows += [[name, *(f'{x[key]:.1f}' for key in metrics)] for name, x in found.items()]
    for row in rows:
        print(f'| {" | ".join(row)} |')
    if 'masks/IoU' in known:
        print(
            '\nThe best mask of a segment, whatever its name: IoU '
            f'{known["masks/IoU"]:.1f} in the mean, above 50 for '
            f'{known["masks/above_50"]:.1f} and above 75 for '
            f'{known["masks/above_75"]:.1f} % of the segments.'
        )
    if unknown:
        hint = did_you_mean(unknown[0], known, cutoff=0.5)
        sys.exit(
            f'error: --metrics: there is no {", ".join(unknown)}.{hint} There are '
            f'{", ".join(sorted(known))}.'
        )


if __name__ == '__main__':
    main()
