"""The script for a GPU machine: limits, what a cut run keeps, what is reported."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from golden_utils import ROOT, load_module

FOLDER = ROOT / 'tools/analysis_tools'


@pytest.fixture(scope='module')
def suite():
    return load_module(FOLDER / 'gpu_suite.py')


def python(code, *arguments):
    return [sys.executable, '-c', code, *arguments]


def test_a_step_past_its_limit_keeps_what_it_wrote(
    suite, tmp_path, monkeypatch, capsys
):
    code = (
        'import subprocess, sys, time\n'
        'open(sys.argv[1], "w").write(\'{"rows": [1]}\')\n'
        'child = subprocess.Popen(["sleep", "60"])\n'
        'open(sys.argv[2], "w").write(str(child.pid))\n'
        'child.wait()'
    )
    slow, quick = tmp_path / 'slow.json', tmp_path / 'quick.json'
    steps = [
        suite.Step('slow', 0.5, [python(code, slow, tmp_path / 'pid')], slow),
        suite.Step('bad', 9, [python('import sys; sys.exit(3)')], tmp_path / 'no.json'),
        suite.Step(
            'quick',
            9,
            [python('print("drawn")'), python(code.split('child')[0], quick)],
            quick,
        ),
    ]
    monkeypatch.setattr(suite, 'list_steps', lambda args: steps)
    monkeypatch.setenv('MMOVSEG_DATA', '')
    monkeypatch.setenv('OMP_WAIT_POLICY', 'PASSIVE')
    options = ['--device', 'cpu', '--tiny', '--out', str(tmp_path), '--seconds', '90']
    monkeypatch.setattr(sys, 'argv', ['gpu_suite.py', *options])
    quick.write_text('{"rows": ["of an earlier run"]}')
    assert suite.main() == 1
    report = json.loads((tmp_path / 'gpu_suite.json').read_text())
    found = report['steps']
    assert list(found) == ['slow', 'bad', 'quick']
    assert found['slow']['outcome'] == 'stopped after 4 s'
    assert found['slow']['result'] == found['quick']['result'] == dict(rows=[1])
    assert found['bad']['outcome'] == 'failed with status 3'
    assert found['bad']['result'] is None
    assert found['quick']['outcome'] == 'ended' and found['quick']['log'] == ['drawn']
    assert torch.__version__.startswith(report['versions']['torch'])
    child = int((tmp_path / 'pid').read_text())
    deadline = time.monotonic() + 10
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(child)


def is_running(pid):
    try:
        text = Path(f'/proc/{pid}/stat').read_text()
    except FileNotFoundError:
        return False
    return text.rsplit(')', 1)[1].split()[0] != 'Z'


@pytest.mark.parametrize('tiny', [False, True])
def test_the_steps_fit_into_the_time_and_name_files_that_exist(suite, tiny, tmp_path):
    device = 'cpu' if tiny else 'cuda'
    args = SimpleNamespace(device=device, tiny=tiny, out=tmp_path, patience=1)
    steps = suite.list_steps(args)
    assert len({step.name for step in steps}) == len(steps)
    if not tiny:
        assert sum(step.seconds for step in steps) <= suite.SECONDS == 540
    for step in steps:
        for command in step.commands:
            scripts = [x for x in map(str, command) if x.endswith('.py')]
            assert all((ROOT / x).is_file() for x in scripts if 'work' not in x)
    assert any(
        str(x).endswith('test_devices/test_training.py') for x in files_of(steps)
    )


def files_of(steps):
    """Return the files of the first step, folders by their files."""
    (command,) = steps[0].commands
    for word in command:
        path = ROOT / word
        yield from path.glob('test_*.py') if path.is_dir() else [path]


def test_outcomes_of_tests_are_read(suite, tmp_path):
    path = tmp_path / 'tests.xml'
    path.write_text(
        '<testsuites><testsuite><testcase classname="a" name="one" time="1.5"/>'
        '<testcase classname="a" name="two"><failure message="no">x</failure>'
        '</testcase></testsuite></testsuites>'
    )
    assert suite.read_result(path) == [
        dict(name='a.one', seconds=1.5, outcome='passed'),
        dict(name='a.two', seconds=0.0, outcome='failure', message='no'),
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
def test_mistakes_are_explained(suite, capsys):
    with pytest.raises(SystemExit):
        suite.parse_args([])
    assert (
        'there is no GPU: try the script with --device cpu' in capsys.readouterr().err
    )
    with pytest.raises(SystemExit):
        suite.parse_args(['--device', 'cpu', '--only', 'latenzy'])
    assert "no step 'latenzy'; there are tests, latency" in capsys.readouterr().err
    script = FOLDER / 'gpu_suite.sh'
    done = subprocess.run([script, 'pack'], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and 'gpu_suite.sh pack .whl' in done.stderr
