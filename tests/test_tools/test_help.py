"""Every script explains itself before it imports anything slow."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [
    path
    for folder in ('tools', 'demo')
    for path in sorted((ROOT / folder).rglob('*.py'))
    if "__name__ == '__main__'" in path.read_text()
]
SLOW = ('torch', 'mmengine', 'mmcv', 'cv2', 'scipy', 'matplotlib', 'onnxruntime')


def test_there_are_scripts():
    assert len(SCRIPTS) > 25


@pytest.fixture(scope='module')
def answers():
    """Ask all scripts for help in one process, which forks for each."""
    program = f"""
import os, runpy, sys
for path in sys.argv[1:]:
    print('==', path, flush=True)
    if not os.fork():
        sys.argv, status = [path, '--help'], 'no exit'
        sys.path.insert(0, os.path.dirname(path))
        try:
            runpy.run_path(path, run_name='__main__')
        except SystemExit as error:
            status = error.code
        print('status', status, [name for name in {SLOW!r} if name in sys.modules])
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""
    paths = [str(path) for path in SCRIPTS]
    done = subprocess.run(
        [sys.executable, '-c', program, *paths],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    parts = done.stdout.split('== ')[1:]
    assert len(parts) == len(paths), done.stderr
    return dict(part.split('\n', 1) for part in parts)


@pytest.mark.parametrize('path', SCRIPTS, ids=lambda path: path.stem)
def test_help_imports_nothing_slow(answers, path):
    answer = answers[str(path)]
    assert answer.startswith('usage: ')
    assert answer.splitlines()[-1] == 'status 0 []'
