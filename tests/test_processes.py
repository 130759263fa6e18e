"""Workers end with a program that is killed, however they were started."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Starts two workers that wait for ever, and says so.
PROGRAM = """
import ctypes, multiprocessing, os, sys, threading, time
import mmovseg.processes

def work(queue):
    queue.put(os.getpid())
    if sys.argv[1] == 'fork-native':  # waits where Python handles no signal
        mutex = ctypes.create_string_buffer(128)
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
    time.sleep(600)

if __name__ == '__main__':
    method, daemon = sys.argv[1].split('-')[0], sys.argv[1] != 'fork-free'
    context = multiprocessing.get_context(method)
    if sys.argv[1] == 'fork-old':  # a system without it
        del os.pidfd_open
    queue = context.Queue()
    def start():
        for _ in range(2):
            context.Process(target=work, args=(queue,), daemon=daemon).start()
    thread = threading.Thread(target=start)
    if sys.argv[1] == 'fork-thread':
        thread.start()
        thread.join()  # to Linux the parent is this thread
    else:
        start()
    print(queue.get(), queue.get(), flush=True)
    time.sleep(600)
"""
LOADER = """
import os, time, torch
import mmovseg.registry
from torch.utils.data import DataLoader

class Data(torch.utils.data.Dataset):
    __len__ = lambda self: 10**6
    __getitem__ = lambda self, index: torch.zeros(2**16)

loader = iter(DataLoader(Data(), 4, num_workers=2, persistent_workers=True))
next(loader)
print(*[worker.pid for worker in loader._workers], flush=True)
time.sleep(600)
"""


def is_alive(pid):
    try:
        return 'zombie' not in Path(f'/proc/{pid}/status').read_text()
    except FileNotFoundError:
        return False


def start(tmp_path, text, *arguments):
    path = tmp_path / 'program.py'
    path.write_text(text)
    program = subprocess.Popen(
        [sys.executable, str(path), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    return program, [int(pid) for pid in program.stdout.readline().split()]


def end(workers):
    """Wait until the workers have ended, and end them anyway; say whether they did."""
    begin = time.monotonic()
    while any(map(is_alive, workers)) and time.monotonic() - begin < 10:
        time.sleep(0.02)
    alive = [pid for pid in workers if is_alive(pid)]
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    return not alive


pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')


@pytest.mark.parametrize(
    'how', ['fork', 'fork-thread', 'fork-native', 'fork-old', 'spawn', 'forkserver']
)
def test_workers_end_with_a_killed_program(tmp_path, how):
    program, workers = start(tmp_path, PROGRAM, how)
    assert len(workers) == 2 and all(map(is_alive, workers))
    program.kill()
    program.wait()
    assert end(workers)


def test_processes_of_their_own_stay(tmp_path):
    program, workers = start(tmp_path, PROGRAM, 'fork-free')
    program.kill()
    program.wait()
    time.sleep(0.2)
    alive = all(map(is_alive, workers))
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    assert alive


def test_loaders_of_torch_end_with_a_killed_program(tmp_path):
    program, workers = start(tmp_path, LOADER)
    program.kill()
    program.wait()
    assert end(workers)
