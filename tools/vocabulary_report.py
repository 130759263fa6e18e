"""Compare the vocabulary of a training with one to test on.

    tools/vocabulary_report.py coco_panoptic ade20k_150 --config eovseg_r50_coco

A and B are names of packaged vocabularies, .txt files, or classes like "dog; puppy,
stuff: grass". Prints which classes of B are seen in A, names that several classes
share, and the pairs of classes that a text tower tells apart worst. Without --config
that is a tiny tower that knows the words of drawn shapes alone; to others its
similarities mean nothing.
"""

import argparse
import sys

from mmovseg.cli.main import read_arguments, run_command


def parse_args() -> argparse.Namespace:
    return read_arguments('vocabulary', description=__doc__)


def main() -> None:
    status = run_command('vocabulary', parse_args())
    if status:
        sys.exit(status)


if __name__ == '__main__':
    main()
