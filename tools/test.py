"""Evaluate a model: tools/test.py CONFIG CHECKPOINT [options]; see dist_test.sh.

Writes all metrics, the speed and what was run to results.json in the work folder.
"""

import argparse
import sys

from mmovseg.cli.main import read_arguments, run_command


def parse_args() -> argparse.Namespace:
    return read_arguments('test', description=__doc__)


def main() -> None:
    status = run_command('test', parse_args())
    if status:
        sys.exit(status)


if __name__ == '__main__':
    main()
