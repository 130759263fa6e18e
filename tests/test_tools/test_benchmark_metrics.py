"""The benchmark of the metrics, on a few small images and in this process."""

import runpy
import sys
from argparse import Namespace
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / 'tools/analysis_tools/benchmark_metrics.py'
ARGS = Namespace(images=5, shape=[48, 64], classes=7)


@pytest.mark.skipif(sys.platform != 'linux', reason='memory is read from /proc')
@pytest.mark.parametrize('kind', ['panoptic', 'semantic', 'instance'])
def test_measures_every_metric(tmp_path, kind, monkeypatch):
    tool = runpy.run_path(str(TOOL))
    tool['write_data'](tmp_path, ARGS)
    rows = tool['measure'](kind, tmp_path, ARGS)
    titles = [row.partition('  ')[0] for row in rows]
    assert titles[:2] == ['peak memory over the start', 'growth over the second half']
    # The comparison raises unless both give the same PQ.
    assert ('for both' in rows[-1]) == (kind == 'panoptic')
    monkeypatch.setattr(tool['PlainPanoptic'], 'quality', lambda _: 12.0)
    with tool['np'].load(tmp_path / 'drawn.npz') as file:
        data = file['ids'], file['labels']
    with pytest.raises(RuntimeError, match=r'the definition gives 12\.0'):
        tool['compare'](tmp_path, ARGS, data)
