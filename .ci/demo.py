"""Fail unless the model of a demo run has learnt what its pictures show.

Right masks with names at random would score 100 / 48 things = 2 of PQ. With exchanged
names ("shuffled") the model itself shows what it scores without reading them.
"""

import json
import sys
from pathlib import Path

METRICS = Path(__file__).resolve().parents[1] / 'work_dirs/demo/metrics.json'
LEAST = {  # about half of what 240 iterations give
    'panoptic/PQ_seen': 6,
    'panoptic/PQ_unseen': 6,
    'semantic/mIoU_unseen': 5,
}


def find_problems(metrics):
    """List what is wrong with the metrics of the demo."""
    for name, least in LEAST.items():
        value = metrics.get(name)
        if value is None or value < least:
            yield f'{name} is {value}, expected at least {least}'
    for name in ('PQ_seen', 'PQ_unseen'):
        value, control = metrics.get(f'panoptic/{name}'), metrics[f'shuffled/{name}']
        if value is None or control is None or not value > 3 * control:
            yield (
                f'{name} is {value} with the right names and {control} with exchanged '
                'ones: the model does not go by them'
            )


def main(path=METRICS):
    problems = list(find_problems(json.loads(Path(path).read_text())))
    for problem in problems:
        print(f'error: {path}: {problem}', file=sys.stderr)
    return bool(problems)


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
