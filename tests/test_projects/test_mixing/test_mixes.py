"""Every mix trains a step and predicts, from its config alone.

The models are built in processes that never import mmovseg themselves; one process for
all that need no compiled ops, one for the others.
"""

import json
import math
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = sorted(
    path
    for path in (ROOT / 'projects' / 'mixing' / 'configs').glob('*/*.py')
    if path.parent.name != '_base_'
)
# They need ops as all models of mmdet do.
OPS = {'san_clip-vit', 'san_severed-clip', 'deop_mmdet-masks', 'deop_detector-masks'}
# Parts of the names of weights that no mix trains.
FROZEN = ('.visual.', '.clip.', '.text_classifier.logit_scale', '.text.logit_scale')
# Mixes that do train such.
UNFROZEN = {'upernet_clip-vit': 'resblocks'}


def needs_ops(path):
    return path.parent.name == 'mmdet' or path.stem in OPS


@cache
def run(ops):
    """Return what `try_mix.py` says about each mix, by its name."""
    paths = [str(path) for path in CONFIGS if needs_ops(path) == ops]
    done = subprocess.run(
        [sys.executable, '-m', 'projects.mixing.try_mix', *paths],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"config"')]
    assert len(lines) == len(paths), done.stdout[-2000:] + done.stderr[-3000:]
    return {found['config']: found for found in map(json.loads, lines)}


@pytest.mark.parametrize(
    'path',
    [
        pytest.param(
            path,
            id=path.stem,
            marks=pytest.mark.ops if needs_ops(path) else pytest.mark.slow,
        )
        for path in CONFIGS
    ],
)
def test_mix_trains_and_predicts(path):
    found = run(needs_ops(path))[path.stem]
    assert 'error' not in found, found['error']
    losses = [value for name, value in found['losses'].items() if 'loss' in name]
    assert losses
    assert all(math.isfinite(value) for value in losses)
    assert found['trained']
    assert found['results']
    allowed = UNFROZEN.get(path.stem, ' ')
    for name in found['trained']:
        frozen = any(part in f'.{name}.' for part in FROZEN)
        assert allowed in name or not frozen, name
