"""Time a model, part by part, alone or in turns with others: median, 95th percentile.

Examples: tools/analysis_tools/benchmark.py configs/eovseg/eovseg_r50_zs-ade20k.py
tools/analysis_tools/benchmark.py deop_vit-b16_cocostuff-156 \\
    --against simbaseline_vit-b16_cocostuff-156 --shape 512 640 --valid-masks 30
tools/analysis_tools/benchmark.py eovseg_r50_coco --fast
tools/analysis_tools/benchmark.py eovseg_r50_coco --throughput --fast bf16 resize
"""

import argparse
import sys

from mmovseg.cli.main import read_arguments, run_command


def parse_args() -> argparse.Namespace:
    return read_arguments('bench', description=__doc__)


def main() -> None:
    status = run_command('bench', parse_args())
    if status:
        sys.exit(status)


if __name__ == '__main__':
    main()
