"""Check the datasets of a config before a training run.

    tools/validate_dataset.py configs/eovseg/eovseg_r50_coco.py --max-images 1000

Looks for missing and broken files, sizes that differ, ids that PNG and JSON do not
share, labels that are no class, and names and thing flags that the vocabulary does not
share; prints a histogram of the classes. Exits with 1 if there are problems.
docs/custom_dataset.md walks through a dataset of one's own.
"""

import argparse
import sys

from mmovseg.cli.main import read_arguments, run_command


def parse_args() -> argparse.Namespace:
    return read_arguments('validate', description=__doc__)


def main() -> None:
    sys.exit(run_command('validate', parse_args()))


if __name__ == '__main__':
    main()
