"""Count parameters and multiply-accumulates of a model, part by part.

Example: tools/analysis_tools/get_flops.py configs/eovseg/eovseg_r50_zs-ade20k.py
"""

import argparse
import sys

import torch
from mmengine.config import DictAction

from mmovseg.apis.profiling import (
    build_model,
    count_macs,
    count_parameters,
    paper_parameters,
    random_text,
    run_model,
    text_sample,
    watch_parts,
)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config file, or the name of a packaged one')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=[640, 640],
        metavar=('H', 'W'),
        help="size of the padded input [640 640, as the paper's script]",
    )
    parser.add_argument('--vocabulary', help="test vocabulary [the config's]")
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override config values',
    )
    args = parser.parse_args()
    if any(x < 32 or x % 32 for x in args.shape):
        parser.error(f'--shape must be positive multiples of 32, got {args.shape}.')
    return args


@torch.no_grad()
def measure(model, shape):
    """Return MACs by part for one image, and for encoding the vocabulary."""
    # The counter watches the gradients of what still has any.
    model.requires_grad_(False)
    text, inputs = random_text(model), torch.randn(1, 3, *shape)
    with count_macs() as read, watch_parts(model, read) as parts:
        run_model(model, inputs, text)
        parts = dict(parts)
        parts['ensemble'] = read() - sum(parts.values())
    sample, factor = text_sample(model.vocabulary)
    model.text_classifier.cache_dir = None
    with count_macs() as read:
        model.text_classifier(sample)
        once = read() * factor
    return parts, once


def main():
    args = parse_args()
    try:
        model = build_model(args.config, args.cfg_options, vocabulary=args.vocabulary)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    parameters = count_parameters(model)
    parts, once = measure(model, args.shape)
    print(f'{args.config}, input {args.shape[0]} x {args.shape[1]}, ', end='')
    print(f'{len(model.vocabulary)} classes\n')
    print(f'{"part":<20}{"parameters":>14}{"trainable":>14}{"MACs":>12}')
    for name in [*parameters, *(name for name in parts if name not in parameters)]:
        if name == 'text_tower':
            continue
        total, trainable = parameters.get(name, (0, 0))
        print(
            f'{name:<20}{total / 1e6:>12.3f} M{trainable / 1e6:>12.3f} M'
            f'{parts.get(name, 0) / 1e9:>10.2f} G'
        )
    runs = sum(x.total for name, x in parameters.items() if name != 'text_tower')
    trains = sum(x.trainable for x in parameters.values())
    print(
        f'{"sum per image":<20}{runs / 1e6:>12.3f} M{trains / 1e6:>12.3f} M'
        f'{sum(parts.values()) / 1e9:>10.2f} G\n'
    )
    tower = parameters['text_tower'].total
    print(f'Network that runs, without text tower: {runs / 1e6:.3f} M parameters')
    if (paper := paper_parameters(model)) is not None:
        print(f"Paper's convention (its own script):   {paper / 1e6:.3f} M parameters")
    print(
        f'Text tower, once per vocabulary:       {tower / 1e6:.3f} M parameters, '
        f'about {once / 1e12:.2f} T MACs for {len(model.vocabulary.all_names)} names'
    )
    print(
        'MACs: convolutions (also deformable) and matrix products (also in attention); '
        'no norms, activations, resizing.'
    )


if __name__ == '__main__':
    main()
