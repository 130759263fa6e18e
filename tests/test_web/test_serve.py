"""The command: mistakes before anything slow, and the end by Ctrl+C."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mmovseg.cli.main import main
from mmovseg.cli.runs import serve
from mmovseg.web import Client

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def with_gradio(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: name)


def test_without_gradio_there_is_a_sentence(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(SystemExit, match=r"pip install 'mmovseg\[web\]'"):
        main(['serve'])


def test_a_port_in_use(with_gradio, monkeypatch, capsys):
    monkeypatch.setattr(serve, 'make_service', None)  # no model is loaded
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(['serve', '--port', str(port)]) == 2
    error = capsys.readouterr().err
    assert f'Port {port} is in use' in error and '--port 0' in error


def test_only_this_machine_is_served():
    with serve.listen(0) as listener:
        assert listener.getsockname()[0] == '127.0.0.1'


def test_a_model_that_is_not_there(with_gradio, capsys):
    assert main(['serve', '--port', '0', '--model', 'nothing']) == 2
    assert "'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize(
    'options',
    [
        ('--port', '70000'),
        ('--port', 'x'),
        ('--timeout', '0'),
        ('--timeout', 'nan'),
        ('--max-megapixels', '-1'),
        ('--max-names', '0'),
        ('--checkpoint', 'x.pth'),
        ('--batch-size', '2'),
        ('--host', '0.0.0.0'),
    ],
)
def test_wrong_options(options, capsys):
    with pytest.raises(SystemExit) as ended:
        main(['serve', *options])
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err


def _notice_ctrl_c():
    """A shell lets what it starts by "&" ignore SIGINT, as tests may have been."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.web
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_it_serves_and_ends(tmp_path, number):
    pytest.importorskip('gradio', reason='gradio')
    words = [sys.executable, '-m', 'mmovseg.cli', 'serve', '--port', '0']
    environ = dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path))
    process = subprocess.Popen(
        [*words, '--model', 'tiny'],
        env=environ,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_notice_ctrl_c,
    )
    try:
        line = process.stdout.readline()
        url = line.split()[1]
        assert line == f'Open {url} in a browser. Ctrl+C ends it.\n'
        assert Client(url).describe()['model'] == 'tiny'
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    finally:
        process.kill()
        process.wait()
    assert not list(tmp_path.iterdir())  # what was sent to the page is gone
