"""The Dockerfiles run the steps of docker/install.sh, in their order."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'docker' / 'install.sh'


@pytest.mark.parametrize('name', ['Dockerfile', 'Dockerfile.cuda'])
def test_steps(name):
    text = (ROOT / 'docker' / name).read_text()
    text_of_runs = ' '.join(re.findall(r'^RUN (.*)$', text, re.M))
    steps = re.findall(r'docker/install\.sh (\w+)', text_of_runs)
    assert steps == ['dependencies', 'package', 'check']
    assert re.findall(r'^(\w+)\)$', SCRIPT.read_text(), re.M) == steps
    for source in re.findall(r'^COPY (\S+) ', text, re.M):
        assert (ROOT / source).exists()


def test_other_steps_are_refused():
    done = subprocess.run([SCRIPT, 'everything'], capture_output=True, text=True)
    assert done.returncode == 2
    assert 'dependencies|package|check' in done.stderr
