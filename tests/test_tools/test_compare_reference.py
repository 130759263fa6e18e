"""EOV-Seg beside the plain form of its operations: ratios, checks, memory."""

import json
import re
import subprocess
import sys

import pytest
import torch
from golden_utils import ROOT, load_module

from mmovseg.models.ops.dispatch import takes_fast

FOLDER = ROOT / 'tools/analysis_tools'
SMALL = ('--sizes', 's', '--shape', '64', '96', '--threads', '1')


@pytest.fixture
def tool(monkeypatch):
    # The tool would start itself anew to set it.
    monkeypatch.setenv('OMP_WAIT_POLICY', 'PASSIVE')
    monkeypatch.syspath_prepend(str(FOLDER))
    tool = load_module(FOLDER / 'compare_reference.py')
    official = tool.SIZES['s']._replace(config='eovseg_tiny_shapeworld')
    monkeypatch.setitem(tool.SIZES, 's', official)
    return tool


@pytest.fixture
def run(tool, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['compare_reference.py', *SMALL, *arguments])
        tool.main()
        return capsys.readouterr().out

    return run


def cells_of(text):
    rows = [line for line in text.splitlines() if line.startswith('| S')]
    return [[cell.strip() for cell in row.strip('|').split('|')] for row in rows]


OURS = dict(
    total=[1.0, 2.0, 6.0],
    backbone=[0.5, 0.25, 5.0],  # the total of its median is another run's
    spatial_backbone=[0.1, 0.1, 0.1],
)
PLAIN = dict(
    total=[5.0, 8.0, 7.0],
    backbone=[1.0, 1.5, 2.0],
    spatial_backbone=[0.5, 0.25, 0.75],
)


def test_ratios_are_of_medians_and_the_rest_of_differences(tool):
    official = tool.Official('', total=4.0, backbone=0.6, spatial_backbone=0.15)
    rows = tool.rows_of(OURS, PLAIN, official, recorded=True, comparable=True)
    # Towers of the plain form: 1.5, 1.75 and 2.75 seconds, 0.75 were recorded.
    assert rows == [
        ['total', '2.000', '7.000', '3.50', '4.00', '2.33'],
        ['backbone', '0.500', '1.500', '3.00', '0.60', '2.33'],
        ['everything else', '1.000', '5.000', '5.00', '3.40', '2.33'],
    ]
    rows = tool.rows_of(OURS, PLAIN, official, recorded=False, comparable=True)
    assert [row[-2:] for row in rows] == [['–', '2.33']] * 3
    rows = tool.rows_of(OURS, PLAIN, official, recorded=False, comparable=False)
    assert [row[-2:] for row in rows] == [['–', '–']] * 3


def test_both_forms_are_timed_in_turns_on_the_same_and_compared(
    tool, run, monkeypatch, tmp_path
):
    out = tmp_path / 'new' / 'seconds.json'
    calls = []
    real = tool.time_models

    def time_models(models, inputs, **options):
        calls.append((models, options))
        return real(models, inputs, **options)

    monkeypatch.setattr(tool, 'time_models', time_models)
    vocabularies = ('--vocabulary', 'ade20k_150', 'pascal_voc_20')
    text = run(*vocabularies, '--repeat', '2', '--warmup', '0', '--out', str(out))
    card = json.loads(out.read_text())
    assert [x['vocabulary'] for x in card['runs']] == ['ade20k_150', 'pascal_voc_20']
    assert card['hardware']['cpu'] and card['settings']['repeat'] == 2
    for item in card['runs']:
        assert [len(item['seconds'][form]['total']) for form in tool.FORMS] == [2, 2]
    for models, options in calls:
        assert models[1] is models[0] and options['plain'] == [False, True]
        assert options['texts'][0] is options['texts'][1]
        assert not models[0].fusion.semantic and not models[0].fusion.instance
    cells = cells_of(text)
    parts = ['total', 'backbone', 'everything else']
    assert [row[1:3] for row in cells[:6]] == [
        [classes, part] for classes in ('150', '20') for part in parts
    ]
    assert all(float(x) > 0 for row in cells[:6] for x in row[3:6])
    assert [row[6:] for row in cells[:6]] == [['–', '–']] * 6  # another shape
    assert [row[1] for row in cells[6:]] == ['150', '20']
    for *_, pixels, median, _, worst in cells[6:]:
        assert float(pixels.rstrip('%')) > 99
        assert float(median) < 1e-3
        assert float(median) <= float(worst)


@pytest.mark.parametrize(
    ('options', 'recorded', 'machine'),
    [
        ((), True, True),
        (('--vocabulary', 'pascal_voc_20'), False, True),
        (('--semantic',), False, True),
        (('--threads', '1'), False, False),
        (('--shape', '64', '64'), False, False),
    ],
)
def test_recorded_seconds_stand_beside_what_they_are_of(
    tool, monkeypatch, capsys, options, recorded, machine
):
    monkeypatch.setattr(tool, 'time_models', lambda *_, **__: [OURS, PLAIN])
    monkeypatch.setattr(tool, 'compare_results', lambda *_: (1.0, [0.0, 0.0, 0.0]))
    tool.compare_times(tool.parse_args(['--sizes', 's', *options]))
    total = cells_of(capsys.readouterr().out)[0]
    assert total[6] == ('3.67' if recorded else '–')
    assert total[7] == (f'{1.75 / (0.57 + 0.19):.2f}' if machine else '–')


def test_equal_pixels(tool):
    first = torch.tensor([[1005, 1005, 1005, 2007, 2007, 150]])

    def share(*second):
        return tool.equal_pixels(first, torch.tensor([second]), 1000)

    assert share(1005, 1005, 1005, 2007, 2007, 150) == 1
    assert share(4005, 4005, 4005, 1007, 1007, 150) == 1  # other numbers
    assert share(1005, 1005, 1005, 2008, 2008, 150) == 4 / 6  # another label
    assert share(1005, 1005, 2007, 2007, 2007, 150) == 5 / 6
    assert share(1005, 1005, 3005, 2007, 2007, 150) == 5 / 6  # split
    assert share(1005, 1005, 1005, 1005, 1005, 150) == 4 / 6  # merged
    assert share(150, 150, 150, 150, 150, 150) == 0  # most of it is not void here


def test_a_difference_is_noticed(tool, monkeypatch):
    model, plain = tool.build('s', semantic=False)
    inputs, text = torch.randn(1, 3, 64, 96), tool.random_text(model)
    model.fusion.iou_thr = 0.0
    share, errors = tool.compare_results(model, plain, inputs, text)
    assert share > 0.99 and errors[0] < 1e-3
    real = model.neck.selection.attention

    def attention(*inputs):
        weight = real(*inputs)
        return weight if takes_fast(weight) else 1 - weight

    monkeypatch.setattr(model.neck.selection, 'attention', attention)
    share, errors = tool.compare_results(model, plain, inputs, text)
    assert share < 0.99 and errors[0] > 1e-3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='memory is read from /proc')
def test_memory_of_a_form_is_that_of_its_tensors(run):
    size = ('--shape', '256', '256', '--vocabulary', 'ade20k_847', '--semantic')
    used = {}
    for form in ('ours', 'plain'):
        before, peak = json.loads(run(*size, '--alone', form))
        used[form] = peak - before
        assert before > 2**27  # torch alone
    # Scores of all classes at the size of the output.
    assert used['plain'] > 847 * 256 * 256 * 4 > used['ours']


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='memory is read from /proc')
def test_each_form_is_measured_in_its_own_process(tool):
    args = tool.parse_args([*SMALL])
    before, peak = tool.measure('ours', 's', 'pascal_voc_20', args)
    assert peak > before > 2**29  # the weights of S, of which this process has none


def test_memory_is_compared_form_by_form(tool, run, monkeypatch, tmp_path):
    measured = dict(ours=[2**30, 2**30 + 2**27], plain=[2**30, 2**31])
    calls = []

    def measure(form, size, vocabulary, args):
        calls.append((form, size, vocabulary, args.semantic))
        return measured[form]

    monkeypatch.setattr(tool, 'measure', measure)
    out = tmp_path / 'bytes.json'
    options = ('--semantic', '--vocabulary', 'ade20k_847', '--out', str(out))
    text = run('--memory', *options)
    assert calls == [(form, 's', 'ade20k_847', True) for form in ('ours', 'plain')]
    (row,) = cells_of(text)
    expected = '1024 1152 128 1024 2048 1024 8.00'
    assert row == ['S', 'ade20k_847', *expected.split()]
    assert '64 x 96, 1 threads' in text and 'semantic results' in text
    (item,) = json.loads(out.read_text())['runs']
    assert item['bytes']['plain'] == dict(before=2**30, peak=2**31)


def test_a_form_that_dies_is_named(tool, monkeypatch):
    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, -9)

    monkeypatch.setattr(tool.subprocess, 'run', run)
    args = tool.parse_args([*SMALL, '--memory', '--semantic'])
    with pytest.raises(SystemExit, match=r'plain, S, ade20k_847 .* code -9'):
        tool.measure('plain', 's', 'ade20k_847', args)
    options = '--alone plain --sizes s --vocabulary ade20k_847 --shape 64 96'
    assert commands[0][2:] == [*options.split(), '--threads', '1', '--semantic']


def test_an_unknown_vocabulary_is_refused(run):
    with pytest.raises(SystemExit, match="Unknown vocabulary 'nothing_150'"):
        run('--vocabulary', 'nothing_150')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--sizes', 'xl'], "invalid choice: 'xl'"),
        (['--shape', '1024', '1365'], 'multiples of 32 .* got [1024, 1365]'),
        (['--shape', '32', '64'], 'at least 64, got [32, 64]'),
        (['--repeat', '0'], '--repeat must be at least 1, got 0'),
        (['--warmup', '-1'], '--warmup must be at least 0, got -1'),
        (['--threads', '0'], '--threads must be at least 1, got 0'),
    ],
)
def test_refuses_what_cannot_work(tool, capsys, arguments, message):
    with pytest.raises(SystemExit):
        tool.parse_args(arguments)
    pattern = re.escape(message).replace(r'\.\*', '.*').replace(r'\ ', ' ')
    assert re.search(pattern, capsys.readouterr().err)


def test_our_side_may_be_in_the_fast_mode(run, tool, capsys):
    text = run('--fast', 'bf16', '--repeat', '1', '--warmup', '0')
    assert 'Ours in the fast mode: bf16.' in text
    # The plain form stays float32: scores differ by more than its rounding.
    (check,) = [cells for cells in cells_of(text) if cells[2].endswith('%')]
    assert float(check[3]) > 1e-3
    with pytest.raises(SystemExit, match=r"Unknown part.*'bf17'"):
        run('--fast', 'bf17')
    with pytest.raises(SystemExit):
        run('--fast', '--memory')
    assert 'leave --fast out' in capsys.readouterr().err
