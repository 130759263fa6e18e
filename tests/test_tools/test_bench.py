"""The comparison of two commits: turns, ratios, and cases that one of them lacks."""

import io
import json
import sys

import pytest
from golden_utils import ROOT, load_module


@pytest.fixture(scope='module')
def bench():
    return load_module(ROOT / '.ci/bench.py')


@pytest.fixture(scope='module')
def cases():
    return load_module(ROOT / '.ci/bench_cases.py')


class FakeServer:
    def __init__(self, label, calls, cpu=1.0, error=None):
        self.label, self.calls, self.cpu, self.error = label, calls, cpu, error

    def ask(self, command, name):
        self.calls.append((self.label, command))
        if command == 'prepare' and self.error:
            return dict(error=self.error)
        return dict(cpu=self.cpu, wall=2 * self.cpu) if command == 'run' else {}


def test_trees_take_turns_and_the_ratio_is_of_medians(bench):
    calls = []
    servers = dict(
        base=FakeServer('base', calls, 3.0), ours=FakeServer('ours', calls, 2.0)
    )
    args = bench.parse_args(['HEAD', '--repeat', '4'])
    rows = bench.compare('data', servers, args)
    runs = [label for label, command in calls if command == 'run']
    assert runs == ['ours', 'base', 'base', 'ours'] * 2
    assert [x for x in calls if x[1] == 'forget'] == [(x, 'forget') for x in servers]
    found = bench.summarize(rows)
    assert found['cpu'] == dict(base=3.0, ours=2.0, ratio=1.5, quartiles=[1.5, 1.5])
    assert found['wall']['ratio'] == 1.5
    row = '| data | 3000.0 | 2000.0 | **1.50** | 1.50 to 1.50 | 1.50 |'
    assert bench.row_of('data', found) == row


def test_a_case_that_a_tree_lacks_is_named(bench, capsys):
    servers = dict(
        base=FakeServer('base', [], error='ImportError: no such thing'),
        ours=FakeServer('ours', []),
    )
    found = bench.compare('data', servers, bench.parse_args(['HEAD']))
    assert found == dict(error='base: ImportError: no such thing')
    assert '| data | base: ImportError' in bench.row_of('data', found)
    with pytest.raises(SystemExit):
        bench.parse_args(['HEAD', '--cases', 'dates'])
    assert "no case 'dates'; there are eovseg-s," in capsys.readouterr().err
    with (
        pytest.raises(SystemExit, match='no-such-commit'),
        bench.worktree('no-such-commit'),
    ):
        pass


def test_a_process_answers_each_line(cases, monkeypatch, capsys):
    ran = []
    made = {'quick': lambda: lambda: ran.append(1), 'broken': lambda: 1 / 0}
    monkeypatch.setattr(cases, 'CASES', made)
    lines = ['prepare quick', 'run quick', 'forget quick', 'prepare broken']
    monkeypatch.setattr(sys, 'stdin', io.StringIO('\n'.join(lines) + '\n'))
    answers = io.StringIO()
    cases.serve(answers)
    found = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert [sorted(x) for x in found] == [[], ['cpu', 'wall'], [], ['error']]
    assert found[3]['error'].startswith('ZeroDivisionError')
    assert len(ran) == 3  # two before the one that counts


def test_a_case_runs(cases):
    cases.CASES['fusion-150']()()
