"""Show how quality, time and memory change as the list of names grows.

    python tools/analysis_tools/many_names.py eovseg_tiny_shapeworld tiny-eovseg \\
        --names 58 200 500 1000 2000 --keep all 20 64
    python tools/analysis_tools/many_names.py eovseg_r50_coco \\
        --names 5000 20000 --keep all 64 --time-only 640 640

The names of the data set stay, and others are added that no picture shows: of drawn
shapes, or those of --distractors. A pixel or segment with such a name is wrong. --keep
runs the model with a presence filter that keeps so many names of each image; the table
has the recall of the names that the image shows. With --time-only the model has random
weights and the names random embeddings; nothing is evaluated. Where no CLIP sees the
image before the names are read, there is no filter, and only rows of "all" are made.
The table is Markdown.
"""

import argparse
import sys

from mmovseg.command_line import (
    exit_on_error,
    output_file,
    pick_device,
    without_log,
)


def read_keep(text):
    """Read a number of names; 'all' is no filter."""
    if text == 'all':
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'all' nor at least 1")
    return int(text)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or the name of a packaged one')
    parser.add_argument('checkpoint', nargs='?', help='file, tiny or tiny-eovseg')
    parser.add_argument(
        '--names', type=int, nargs='+', required=True, help='numbers of names in all'
    )
    parser.add_argument(
        '--keep',
        type=read_keep,
        nargs='+',
        default=[None],
        metavar='N',
        help="names that the filter keeps, 'all' for no filter [all]",
    )
    parser.add_argument(
        '--distractors', help='packaged vocabulary or .txt file with other names'
    )
    parser.add_argument('--num-images', type=int, help='the first ones only [all]')
    parser.add_argument(
        '--time-only',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='time random weights on an image of this size',
    )
    parser.add_argument(
        '--valid-masks',
        type=int,
        metavar='N',
        help='draw N masks where --time-only has proposals [whatever they are]',
    )
    parser.add_argument('--repeat', type=int, default=3, help='runs of --time-only [3]')
    parser.add_argument('--out', type=output_file, help='write all metrics as JSON')
    parser.add_argument('--device', help='[cuda, or cpu without a GPU]')
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override config values'
    )
    args = parser.parse_args()
    if min(args.names) < 1:
        parser.error(f'--names must be at least 1, got {min(args.names)}.')
    for name in ('num_images', 'repeat'):
        value = getattr(args, name)
        if value is not None and value < 1:
            option = name.replace('_', '-')
            parser.error(f'--{option} must be at least 1, got {value}.')
    if (args.checkpoint is None) != bool(args.time_only):
        parser.error(
            '--time-only takes random weights, so leave the checkpoint out.'
            if args.time_only
            else 'quality needs a checkpoint; time alone needs --time-only.'
        )
    if args.time_only and any(x < 32 or x % 32 for x in args.time_only):
        parser.error(f'--time-only takes multiples of 32, got {args.time_only}.')
    if args.time_only and args.distractors:
        parser.error('--distractors needs a data set; leave --time-only out.')
    if args.valid_masks is not None and not args.time_only:
        parser.error('--valid-masks is for the random weights of --time-only.')
    args.device = pick_device(args.device)
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import torch
from mmengine.runner import Runner

from mmovseg.analysis.many_names import (
    evaluate_names,
    make_table,
    split_keeps,
    time_names,
)
from mmovseg.analysis.profiling import build_model, draw_masks
from mmovseg.analysis.run_card import describe_place, write_card
from mmovseg.apis import init_model
from mmovseg.apis.runtime import load_run_config, parse_options
from mmovseg.vocabulary import Vocabulary


def possible_keeps(model, keeps):
    """Return the filters that a model can have; say why it cannot have the others."""
    keeps, reason = split_keeps(model, keeps)
    if reason:
        print(f'note: {reason} Those rows are left out.', file=sys.stderr)
    return keeps


def measure(args):
    """Return the rows of the table."""
    if args.time_only:
        options = parse_options(args.cfg_options) if args.cfg_options else None
        model = build_model(args.config, options, device=args.device)
        if args.valid_masks is not None:
            draw_masks(model, args.valid_masks)
        keeps = possible_keeps(model, args.keep)
        inputs = torch.randn(1, 3, *args.time_only, device=args.device)
        return time_names(model, inputs, args.names, keeps=keeps, repeat=args.repeat)
    config = load_run_config(args.config, args.cfg_options)
    model = init_model(config, args.checkpoint, args.device)
    keeps = possible_keeps(model, args.keep)
    loader = config.test_dataloader
    loader.update(num_workers=0, persistent_workers=False, batch_size=1)
    if args.num_images is not None:
        loader.dataset.indices = args.num_images
    metrics = config.test_evaluator
    others = args.distractors and Vocabulary.load(args.distractors).names
    return evaluate_names(
        model,
        Runner.build_dataloader(loader),
        metrics if isinstance(metrics, (list, tuple)) else [metrics],
        args.names,
        keeps=keeps,
        others=others,
    )


def main():
    args = parse_args()
    with exit_on_error(TypeError), without_log():
        rows = measure(args)
    table = make_table(rows)
    table.insert(1, ['--:'] * len(table[0]))
    for row in table:
        print(f'| {" | ".join(row)} |')
    if args.out:
        settings = dict(vars(args), out=str(args.out))
        write_card(args.out, dict(settings=settings, rows=rows, **describe_place()))


if __name__ == '__main__':
    main()
