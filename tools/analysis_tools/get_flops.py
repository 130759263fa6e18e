"""Count parameters and multiply-accumulates of a model, part by part.

Example: tools/analysis_tools/get_flops.py configs/eovseg/eovseg_r50_zs-ade20k.py
"""

import argparse

from mmovseg.command_line import exit_on_error


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
        metavar='KEY=VALUE',
        help='override config values',
    )
    args = parser.parse_args()
    if any(x < 32 or x % 32 for x in args.shape):
        parser.error(f'--shape must be positive multiples of 32, got {args.shape}.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import torch

from mmovseg.analysis.profiling import (
    build_model,
    count_macs,
    count_parameters,
    paper_parameters,
    random_text,
    run_model,
    text_sample,
    watch_parts,
)


@torch.no_grad()
def measure(model, shape):
    """Return MACs by part for one image, and those of encoding the vocabulary."""
    # The counter watches the gradients of what still has any.
    model.requires_grad_(False)
    text, inputs = random_text(model), torch.randn(1, 3, *shape)
    with count_macs() as read, watch_parts(model, read) as parts:
        run_model(model, inputs, text)
        parts['ensemble'] = read() - sum(parts.values())
    if model.text_classifier is None:
        return parts, 0.0
    sample, factor = text_sample(model.vocabulary)
    model.text_classifier.cache_dir = None
    with count_macs() as read:
        model.text_classifier(sample)
        return parts, read() * factor


def print_table(parameters, macs):
    """Print a line per part that has parameters or work, in order of execution."""
    print(f'{"part":<18}{"parameters":>13}{"trainable":>13}{"MACs":>11}')
    order = [*(x for x in parameters if x != 'fusion'), *macs]
    for name in dict.fromkeys(order):
        total, trainable = parameters.get(name, (0, 0))
        work = macs.get(name, 0)
        if (total or work) and name != 'text_tower':
            print(
                f'{name:<18}{total / 1e6:>11.3f} M{trainable / 1e6:>11.3f} M'
                f'{work / 1e9:>9.2f} G'
            )


def main():
    args = parse_args()
    with exit_on_error():
        model = build_model(args.config, args.cfg_options, vocabulary=args.vocabulary)
    height, width = args.shape
    names = len(model.vocabulary.all_names)
    print(
        f'{args.config}: input {height} x {width}, {len(model.vocabulary)} classes, '
        f'{names} names\n'
    )
    parameters = count_parameters(model)
    paper = paper_parameters(model)
    macs, encoding = measure(model, args.shape)
    # Fusion last: it runs after the ensemble, and is no part of the network.
    macs['fusion'] = macs.pop('fusion')
    print_table(parameters, macs)

    tower = parameters.pop('text_tower').total
    runs = sum(part.total for part in parameters.values())
    network = sum(macs.values()) - macs['fusion']
    print(f'\nNetwork that runs, without text tower: {runs / 1e6:.3f} M parameters')
    if paper is not None:
        print(f"Paper's convention (its own script):   {paper / 1e6:.3f} M parameters")
    print(f'MACs per image, without fusion:        {network / 1e9:.2f} G')
    print(
        f'Text tower, once per vocabulary:       {tower / 1e6:.3f} M parameters, '
        f'about {encoding / 1e12:.2f} T MACs'
    )
    print(
        '\nMACs are those of convolutions (deformable ones too) and matrix products '
        '(attention too),\nnot of norms, activations, and resizing. ensemble: CLIP '
        'scores of the predicted masks.'
    )


if __name__ == '__main__':
    main()
