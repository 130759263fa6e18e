"""Every mode and batch size of a system, and what is said of those that fail."""

import json
import sys

import pytest
import torch
from golden_utils import ROOT, load_module

TINY = ('eovseg_tiny_shapeworld', 'deop_tiny_shapeworld-zs')
SMALL = ('--size', '64', '96', '--classes', '7', '--device', 'cpu', '--warmup', '0')


@pytest.fixture
def tool(monkeypatch):
    # The benchmark would start itself anew to set it.
    monkeypatch.setenv('OMP_WAIT_POLICY', 'PASSIVE')
    tool = load_module(ROOT / 'tools/analysis_tools/benchmark_grid.py')
    peak = tool.measure_peak('cpu', size=64, length=1000, repeat=1)
    monkeypatch.setattr(tool, 'measure_peak', lambda *_: peak)
    return tool


def run(tool, monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['benchmark_grid.py', *SMALL, *arguments])
    tool.main()


@pytest.mark.slow
def test_every_cell_is_timed_or_says_why_not(tool, monkeypatch, tmp_path, capsys):
    out = tmp_path / 'grid.json'
    names = [TINY[0], 'no-such-model', 'hf-eomt-b', TINY[1]]
    monkeypatch.setitem(sys.modules, 'transformers', None)
    options = ['--modes', 'float32', 'fast', '--batch-size', '1', '2']
    with pytest.raises(SystemExit, match=f'error: {TINY[1]} failed'):
        run(
            tool,
            monkeypatch,
            *('--systems', *names, *options),
            *('--valid-masks', '30', '--repeat', '2', '--out', str(out)),
        )
    report = json.loads(out.read_text())
    rows = report['rows']
    timed = [row for row in rows if 'reason' not in row]
    cells = [(row['system'], row['mode'], row['batch_size']) for row in timed]
    assert cells == [(TINY[0], m, b) for m in ('float32', 'fast') for b in (1, 2)]
    for row in timed:
        assert len(row['seconds']) == 2
        speed = row['batch_size'] / row['median']
        assert row['images_per_second'] == pytest.approx(speed)
        assert row['share'] > 0
    reasons = {row['system']: row['reason'] for row in rows if 'reason' in row}
    assert 'no such config' in reasons['no-such-model']
    assert reasons['hf-eomt-b'] == 'needs transformers'
    assert '30 of 20 proposals' in reasons[TINY[1]]
    failed = {row['system'] for row in rows if row.get('failed')}
    assert failed == {TINY[1]}
    text = capsys.readouterr().out
    assert f'| {TINY[0]} | fast | 2 | ' in text
    assert '| hf-eomt-b | float32 |  | needs transformers |' in text


def test_no_cell_begins_late(tool, monkeypatch, capsys):
    run(tool, monkeypatch, '--systems', TINY[0], '--seconds', '0', '--modes', 'fast')
    assert f'| {TINY[0]} | fast |  | no time was left |' in capsys.readouterr().out


def test_modes_do_what_they_say(tool):
    args = tool.parse_args([*SMALL, '--repeat', '1'])
    seen = []
    for name in ('float32', 'bfloat16', 'channels_last'):
        system = tool.build(TINY[0], tool.MODES[name], args)
        system.model.register_forward_hook(lambda *_: None)
        system.model.backbone.register_forward_pre_hook(
            lambda _, x: seen.append(x[0].is_contiguous(memory_format=CHANNELS_LAST))
        )
        system.model.backbone.register_forward_hook(
            lambda _, __, maps: seen.append(maps[-1].dtype)
        )
        tool.time_cell(system, tool.MODES[name], 2, args)
    half, single = torch.bfloat16, torch.float32
    assert seen == [False, single] * 2 + [False, half] * 2 + [True, half] * 2
    fast = tool.build(TINY[0], tool.MODES['fast'], args).model.fast_mode
    assert fast.parts == ('bf16', 'resize')


CHANNELS_LAST = torch.channels_last
