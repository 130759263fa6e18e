"""One training at a time in a folder, whatever became of the one before."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmovseg.engine import WorkDirError, lock_work_dir
from mmovseg.engine.work_dir_lock import unlock_work_dir

ROOT = Path(__file__).resolve().parents[2]
# Locks the folder, forks as a data loader does, says so and waits.
HOLDER = """
import os, sys, time
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location('lock', sys.argv[1])
lock = module_from_spec(spec)
spec.loader.exec_module(lock)
lock.lock_work_dir(sys.argv[2])
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Start a process that trains in the folder, with a worker that outlives it."""
    path = ROOT / 'mmovseg/engine/work_dir_lock.py'
    process = subprocess.Popen(
        [sys.executable, '-c', HOLDER, str(path), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    worker = int(process.stdout.readline())
    yield process
    os.kill(worker, signal.SIGKILL)
    process.kill()
    process.wait()


def test_another_process_is_named_until_it_is_killed(tmp_path, holder):
    with pytest.raises(WorkDirError, match=rf'process {holder.pid} on .*--work-dir'):
        lock_work_dir(tmp_path)
    holder.kill()  # its worker goes on
    holder.wait()
    lock_work_dir(tmp_path)
    unlock_work_dir(tmp_path)


def test_a_process_may_lock_again(tmp_path):
    lock_work_dir(tmp_path)
    lock_work_dir(str(tmp_path / '.'))
    unlock_work_dir(tmp_path)
    unlock_work_dir(tmp_path)
