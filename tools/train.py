"""Train a model: tools/train.py CONFIG [options], or tools/dist_train.sh."""

import argparse
import sys

from mmovseg.cli.main import read_arguments, run_command


def parse_args() -> argparse.Namespace:
    return read_arguments('train', description=__doc__)


def main() -> None:
    status = run_command('train', parse_args())
    if status:
        sys.exit(status)


if __name__ == '__main__':
    main()
