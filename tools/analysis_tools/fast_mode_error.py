"""Measure what the parts of the fast mode change: metrics, and pixels of another class.

python tools/analysis_tools/fast_mode_error.py eovseg_tiny_shapeworld shapeworld \\
    --num-images 100 --modes resize bf16 fp16 buckets=256 bf16,resize,compile

Every mode is evaluated on the first images of the test set; parts of one mode have ","
between them. The table is written in Markdown.
"""

import argparse

from mmovseg.command_line import FAST_PARTS, exit_on_error, pick_device

METRICS = ('panoptic/PQ', 'semantic/mIoU')


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or the name of a packaged one')
    parser.add_argument('checkpoint', help='file, tiny or tiny-eovseg')
    parser.add_argument('--num-images', type=int, default=100)
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument(
        '--modes',
        nargs='+',
        metavar='PARTS',
        default=['resize', 'bf16', 'fp16', 'bf16,resize'],
        help=f'of {", ".join(FAST_PARTS)} [resize bf16 fp16 bf16,resize]',
    )
    parser.add_argument(
        '--metrics', nargs='+', metavar='NAME', default=METRICS, help=f'{METRICS}'
    )
    parser.add_argument('--device', help='[cuda, or cpu without a GPU]')
    parser.add_argument('--threads', type=int, help='threads of the CPU [all]')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override config values',
    )
    args = parser.parse_args()
    args.device = pick_device(args.device)
    if args.num_images < 1 or args.batch_size < 1:
        parser.error('--num-images and --batch-size must be at least 1.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner

from mmovseg.apis import init_model, load_config
from mmovseg.apis.checkpoint import find_checkpoint
from mmovseg.apis.fast_mode import make_fast


def evaluate(args, parts):
    """Return the metrics and the label maps of one mode."""
    config = load_config(args.config, args.cfg_options)
    model = init_model(config, args.checkpoint, args.device)
    model.fusion.semantic = True  # its maps are compared
    if parts:
        make_fast(model, parts)
    loader = config.test_dataloader
    loader.update(num_workers=0, persistent_workers=False, batch_size=args.batch_size)
    loader.dataset.indices = args.num_images
    loader = Runner.build_dataloader(loader)
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = loader.dataset.metainfo
    labels = []
    with torch.no_grad():
        for batch in loader:
            samples = model.test_step(batch)
            evaluator.process(samples, batch)
            labels += [sample.pred_sem_seg.sem_seg.cpu() for sample in samples]
    return evaluator.evaluate(len(loader.dataset)), labels


def count_changed(labels, exact):
    """Return the percentage of pixels with another label."""
    changed = sum(int((a != b).sum()) for a, b in zip(labels, exact, strict=True))
    return 100 * changed / sum(x.numel() for x in exact)


def main():
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    with exit_on_error(TypeError):
        args.checkpoint = find_checkpoint(args.checkpoint)
        before, exact = evaluate(args, ())
        unknown = [name for name in args.metrics if name not in before]
        if unknown:
            raise ValueError(f'--metrics {unknown}: there are {sorted(before)}.')
        rows = [['exact', *(f'{before[name]:.2f}' for name in args.metrics), '0']]
        for mode in args.modes:
            after, labels = evaluate(args, mode.split(','))
            changes = [
                f'{after[name]:.2f} ({after[name] - before[name]:+.2f})'
                for name in args.metrics
            ]
            rows.append([mode, *changes, f'{count_changed(labels, exact):.3f} %'])
    rows[:0] = [['', *args.metrics, 'pixels of another class'], ['---'] * len(rows[0])]
    print(f'First {len(exact)} images, {args.device}, torch {torch.__version__}\n')
    for row in rows:
        print('| ' + ' | '.join(row) + ' |')


if __name__ == '__main__':
    main()
