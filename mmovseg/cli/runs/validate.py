"""Check the data sets of a config."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ...analysis.dataset_validation import (
    find_data,
    load_data_config,
    validate_data,
)
from ...analysis.run_card import to_plain
from ...command_line import exit_on_error, messages_on_stderr, print_json
from ...fileio import printable, write_atomic


def print_summary(summary: Any, dataset: Any) -> None:
    """Print what was found in a data set."""
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


def run(args: argparse.Namespace) -> int:
    """Check; return the exit status."""
    with messages_on_stderr(args.json):
        datasets, problems = check(args)
    if args.json:
        print_json(to_plain(dict(datasets=datasets, problems=problems)))
    return 1 if problems else 0


def check(args: argparse.Namespace) -> tuple[list[dict[str, Any]], int]:
    """Check and print; return what was found in each data set, and the problems."""
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
    content = [summary.as_dict() for summary in summaries]
    if args.out:
        write_atomic(args.out, json.dumps(content, indent=1))
    problems = sum(summary.num_problems for summary in summaries)
    print(f'\n{problems} problems in {len(summaries)} datasets.')
    return content, problems
