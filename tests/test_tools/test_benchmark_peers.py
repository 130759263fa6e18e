"""The benchmark against other systems: what it runs, counts, writes and refuses."""

import json
import runpy
import sys
from types import SimpleNamespace

import pytest
import torch
from golden_utils import ROOT, load_module

from mmovseg.analysis.profiling import build_model, count_parameters

FOLDER = ROOT / 'tools/analysis_tools'
TINY = ('eovseg_tiny_shapeworld', 'deop_tiny_shapeworld-zs')
SMALL = ('--size', '64', '96', '--classes', '7', '--device', 'cpu')


@pytest.fixture
def tool(monkeypatch):
    # The benchmark would start itself anew to set it.
    monkeypatch.setenv('OMP_WAIT_POLICY', 'PASSIVE')
    monkeypatch.syspath_prepend(str(FOLDER))
    return load_module(FOLDER / 'benchmark_peers.py')


@pytest.fixture
def run(tool, monkeypatch, tmp_path, capsys):
    """Run the tool without other processes; return its card, table and output."""
    monkeypatch.setattr(tool, 'describe', tool.describe_alone)

    def run(*arguments):
        output = tmp_path / 'results' / 'peers.v1'
        options = [*SMALL, *arguments, '--output', str(output)]
        monkeypatch.setattr(sys, 'argv', ['benchmark_peers.py', *options])
        tool.main()
        card = json.loads((tmp_path / 'results' / 'peers.v1.json').read_text())
        text = (tmp_path / 'results' / 'peers.v1.md').read_text()
        return card, text, capsys.readouterr().out

    return run


@pytest.mark.slow
def test_writes_work_and_time_of_every_system(run, monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    options = ('--warmup', '1', '--repeat', '3', '--valid-masks', '5')
    card, text, out = run('--systems', *TINY, 'hf-oneformer-t', *options)
    rows = card['systems']
    assert list(rows) == [*TINY, 'hf-oneformer-t']
    assert [rows[name]['task'] for name in TINY] == ['panoptic', 'semantic']

    # The same counts by the tool for our own models.
    get_flops = runpy.run_path(str(FOLDER / 'get_flops.py'))
    for name in TINY:
        model = build_model(name)
        model.set_vocabulary([f'class {index}' for index in range(7)])
        parts = count_parameters(model)
        del parts['text_tower']
        counted = sum(part.total for part in parts.values())
        assert rows[name]['parameters'] == counted
        macs, _ = get_flops['measure'](model, (64, 96))
        # Fusion resizes as many masks as random weights find, by a product too.
        assert rows[name]['flops'] == pytest.approx(2 * sum(macs.values()), rel=0.02)
        assert len(rows[name]['seconds']) == 3
        assert rows[name]['median'] == sorted(rows[name]['seconds'])[1] > 0

    assert 0 < rows[TINY[0]]['backbone'] < rows[TINY[0]]['median']
    assert 'backbone' not in rows[TINY[1]]  # behind the proposals
    assert rows['hf-oneformer-t'] == dict(reason='needs transformers')
    assert '| hf-oneformer-t | needs transformers |' in text
    first = next(line for line in text.splitlines() if line.startswith(f'| {TINY[0]}'))
    assert f'| {1000 * rows[TINY[0]]["median"]:.1f} ms |' in first
    assert text in out
    assert card['settings']['OMP_WAIT_POLICY'] == 'PASSIVE'
    assert '64 × 96, 7 classes, float32' in text
    assert '3 runs in turns after 1' in text


def test_runs_in_half_precision(tool):
    args = tool.parse_args([*SMALL, '--systems', TINY[0], '--dtype', 'bfloat16'])
    seen = []
    system = tool.build(TINY[0], args)
    system.model.backbone.register_forward_hook(
        lambda _, __, maps: seen.append(maps[-1].dtype)
    )
    seconds = tool.measure({TINY[0]: system}, args)
    assert set(seen) == {torch.bfloat16}
    assert [len(values) for values in seconds[TINY[0]]] == [10, 10]


def test_systems_take_turns_on_one_image(tool):
    args = tool.parse_args([*SMALL, '--warmup', '2', '--repeat', '3'])
    calls = []

    def system(name):
        def run(inputs):
            calls.append((name, inputs.sum().item()))

        System = tool.build_system.__globals__['System']
        return System(torch.nn.Identity(), run, '', None)

    seconds = tool.measure({name: system(name) for name in 'abc'}, args)
    assert ''.join(name for name, _ in calls) == 'abc' * 5
    assert len({total for _, total in calls}) == 1
    assert {name: len(values) for name, (values, _) in seconds.items()} == dict(
        a=3, b=3, c=3
    )
    assert all(backbone == [] for _, backbone in seconds.values())


def test_seconds_of_a_backbone_are_those_of_all_its_calls(tool):
    backbone = torch.nn.Identity()
    clock = SimpleNamespace(seconds=iter([1.0, 3.0, 10.0, 14.0]).__next__)
    with tool.watch(backbone, clock) as seconds:
        backbone(1), backbone(2)
    assert seconds == {'backbone': 6.0}
    with tool.watch(backbone, clock) as seconds:
        pass
    assert not seconds
    backbone(3)  # no longer watched: the clock would end


def test_ratio_is_that_of_medians_to_the_comparable_eovseg(tool):
    row = dict(task='panoptic', parameters=1, flops=1, memory=2**21)
    names = ('eovseg-s', 'eovseg-l', 'fcclip-l', 'san-b16', 'san-l14')
    rows = {name: dict(row) for name in names}
    rows['san-l14'] = dict(reason='needs ftfy')
    seconds = {
        'eovseg-s': ([1.0, 2.0, 9.0], [0.5, 0.7, 0.6]),
        'eovseg-l': ([4.0, 4.0, 4.0], []),
        'fcclip-l': ([10.0, 10.0, 10.0], []),
        'san-b16': ([3.0, 3.0, 3.0], []),
    }
    tool.complete(rows, seconds)
    assert rows['eovseg-s']['median'] == 2
    assert rows['eovseg-s']['backbone'] == 0.6 and 'backbone' not in rows['eovseg-l']
    assert rows['eovseg-s']['p95'] == pytest.approx(8.3)
    assert rows['fcclip-l']['ratio'] == 2.5
    assert rows['san-b16']['ratio'] == 1.5
    assert 'ratio' not in rows['eovseg-l'] and 'ratio' not in rows['san-l14']
    text = tool.table(rows)
    assert '| 10000.0 ms | 10000.0 ms | – | 2 MiB | 2.50 × eovseg-l |' in text
    assert '| san-l14 | needs ftfy |' in text

    alone = {'fcclip-l': dict(row)}  # without its baseline
    tool.complete(alone, {'fcclip-l': ([1.0], [0.25])})
    assert tool.table(alone).endswith('| 250.0 ms | 2 MiB | – |')


@pytest.mark.skipif(sys.platform != 'linux', reason='memory is read from /proc')
def test_memory_is_the_peak_beyond_what_was_in_use(tool):
    clock = tool.Clock('cpu')
    kept = torch.ones(2**24)  # 64 MiB
    torch.ones(2**27)  # gone when the measurement starts
    before = clock.reset_memory()
    torch.ones(2**25)  # 128 MiB
    used = clock.peak_memory() - before
    assert used == pytest.approx(2**27, rel=0.1)  # pages are counted in batches
    assert kept.sum() == 2**24


@pytest.mark.slow
def test_each_system_is_described_in_its_own_process(tool, capsys):
    args = tool.parse_args([*SMALL, '--systems', TINY[0], '--threads', '1'])
    row, expected = tool.describe(TINY[0], args), tool.describe_alone(TINY[0], args)
    for key in ('task', 'parameters', 'flops'):
        assert row[key] == expected[key]
    if sys.platform == 'linux':
        assert row['memory'] > 64 * 96 * 4

    args.valid_masks = 21
    failed = tool.describe(TINY[1], args)
    assert failed['failed'] and '21 of 20 proposals' in failed['reason']
    assert 'Traceback' in capsys.readouterr().err


def test_failure_is_reported_at_the_end(tool, run, monkeypatch):
    rows = {TINY[0]: dict(reason='RuntimeError: no', failed=True)}
    monkeypatch.setattr(tool, 'describe', lambda name, _: rows[name])
    with pytest.raises(SystemExit, match=f'error: {TINY[0]} failed'):
        run('--systems', TINY[0])


@pytest.mark.parametrize('name', ['mask2former-r50', 'maskformer-r50'])
def test_names_missing_ops(tool, monkeypatch, name):
    monkeypatch.setitem(sys.modules, 'mmcv.ops', None)
    row = tool.describe_alone(name, tool.parse_args([*SMALL]))
    assert row == dict(reason='needs mmcv with compiled ops (make venv-ops)')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--systems', 'eovseg-xl'], "'eovseg-xl' is no system and no config. Sys"),
        (['--size', '640', '959'], 'at least 64, got [640, 959]'),
        (['--size', '32', '64'], 'at least 64, got [32, 64]'),
        (['--classes', '1'], '--classes must be at least 2, got 1'),
        (['--repeat', '0'], '--repeat must be at least 1, got 0'),
        (['--valid-masks', '-1'], '--valid-masks must be at least 0, got -1'),
        (['--threads', '0'], '--threads must be at least 1, got 0'),
        (['--dtype', 'int8'], "'float32'"),
    ],
)
def test_refuses_what_cannot_work(tool, capsys, arguments, message):
    with pytest.raises(SystemExit):
        tool.parse_args(arguments)
    error = capsys.readouterr().err
    assert message in error
    if 'eovseg-xl' in arguments:
        assert all(name in error for name in tool.PEERS)


def check_label_map(name, tool):
    """Build a system for seven classes, run it, and check what it finds."""
    args = tool.parse_args([*SMALL, '--systems', name])
    system = tool.build(name, args)
    with torch.no_grad():
        [result] = system.run(tool.make_inputs(args))
    if isinstance(result, dict):  # transformers
        labels = {part['label_id'] for part in result['segments_info']}
        shape = result['segmentation'].shape
    elif system.task == 'panoptic':
        ids = result.pred_panoptic_seg.sem_seg
        labels = set((ids % 1000).unique().tolist())
        shape = ids.shape[-2:]
    else:
        shape = result.pred_sem_seg.data.shape[-2:]
        labels = set(result.pred_sem_seg.data.unique().tolist())
    assert tuple(shape) == (64, 96)
    assert labels <= set(range(8))  # 7 is void
    assert not any(x.requires_grad for x in system.model.parameters())


@pytest.mark.ops
@pytest.mark.parametrize('name', ['san-b16', 'mask2former-r50', 'maskformer-r50'])
def test_system_finds_the_classes(tool, name):
    check_label_map(name, tool)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['hf-mask2former-t', 'hf-oneformer-t'])
def test_system_of_transformers_finds_the_classes(tool, name):
    pytest.importorskip('transformers')
    check_label_map(name, tool)


@pytest.mark.slow
@pytest.mark.parametrize(
    'name', ['eovseg-s', 'deop-b16', 'fcclip-l', 'simbaseline-b16']
)
def test_system_of_ours_finds_the_classes(tool, name):
    check_label_map(name, tool)
