"""Threads are held up by events, never by time."""

import threading

import pytest

from mmovseg.background_worker import BackgroundWorker


def test_background_runs_in_order_beside_the_caller():
    done, go = [], threading.Event()
    with BackgroundWorker(10) as background:
        background.run(go.wait, 60)
        for i in range(3):
            background.run(done.append, i)
        assert done == []
        go.set()
    assert done == [0, 1, 2]


def test_background_waits_when_too_much_waits():
    done = []
    with BackgroundWorker(0) as background:
        background.run(done.append, 1)
        assert done == [1]


def fail():
    raise ValueError('broken')


def test_background_raises_what_a_call_raised():
    with pytest.raises(ValueError, match='broken'), BackgroundWorker(9) as background:
        background.run(fail)
    with pytest.raises(ValueError, match='broken'):
        background = BackgroundWorker(9)
        background.run(fail)
        background.wait()
    with pytest.raises(ValueError, match='broken'), BackgroundWorker(0) as background:
        background.run(fail)


def test_an_error_of_the_caller_drops_what_has_not_started():
    done, go = [], threading.Event()
    background = BackgroundWorker(9)
    shutdown = background.executor.shutdown

    def shutdown_then_go(cancel_futures):
        shutdown(wait=False, cancel_futures=cancel_futures)
        go.set()
        shutdown()

    background.executor.shutdown = shutdown_then_go
    with pytest.raises(KeyError), background:
        background.run(go.wait, 60)
        background.run(done.append, 1)
        raise KeyError
    assert done == []
