"""Check the datasets of a config before a training run.

    tools/validate_dataset.py configs/eovseg/eovseg_r50_coco.py --max-images 1000

Looks for missing and broken files, sizes that differ, ids that PNG and JSON do not
share, labels that are no class, and names and thing flags that the vocabulary does not
share; prints a histogram of the classes. Exits with 1 if there are problems.
docs/custom_dataset.md walks through a dataset of one's own.
"""

import argparse
import json
import os
import sys

from mmovseg.command_line import SPLITS, exit_on_error, output_file
from mmovseg.fileio import printable, write_atomic


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config, with or without a model')
    parser.add_argument(
        '--splits', nargs='+', choices=SPLITS, default=SPLITS, help='[all there are]'
    )
    parser.add_argument(
        '--max-images', type=int, help='look into so many, spread evenly [all]'
    )
    parser.add_argument(
        '--num-workers',
        type=int,
        default=min(8, os.cpu_count() or 1),
        help='processes; 0 means none beside this one [%(default)s]',
    )
    parser.add_argument('--show-dir', help='folder for pictures of labels')
    parser.add_argument(
        '--num-shown', type=int, default=4, help='pictures per dataset [%(default)s]'
    )
    parser.add_argument(
        '--out', type=output_file, metavar='FILE.json', help='write everything here'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override config values',
    )
    args = parser.parse_args()
    for name in ('max_images', 'num_shown'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1.')
    if args.num_workers < 0:
        parser.error('--num-workers must be at least 0.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from mmovseg.analysis.dataset_validation import (
    find_data,
    load_data_config,
    validate_data,
)


def print_summary(summary, dataset):
    kind = dataset['type'] if isinstance(dataset['type'], str) else ''
    root = printable(str(dataset.get('data_root') or ''))
    print(f'\n== {summary.title}: {kind} {root}')
    things = ''
    if summary.is_thing is not None:
        things = f', {sum(summary.is_thing)} of them things'
    print(
        f'{summary.num_images} images, {summary.checked} looked into; '
        f'{len(summary.names)} classes{things}'
    )
    print('\n'.join(summary.histogram()))
    print('\n'.join(summary.problem_lines()) or 'No problems.')


def main():
    args = parse_args()
    with exit_on_error():
        cfg = load_data_config(args.config, args.cfg_options)
        entries = find_data(cfg, args.splits)
    summaries = []
    for entry in entries:
        summary = validate_data(
            entry,
            max_images=args.max_images,
            num_workers=args.num_workers,
            show_dir=args.show_dir,
            num_shown=args.num_shown,
            progress=True,
        )
        print_summary(summary, entry.dataset)
        summaries.append(summary)
    if args.out:
        content = [summary.as_dict() for summary in summaries]
        write_atomic(args.out, json.dumps(content, indent=1))
    problems = sum(summary.num_problems for summary in summaries)
    print(f'\n{problems} problems in {len(summaries)} datasets.')
    sys.exit(1 if problems else 0)


if __name__ == '__main__':
    main()
