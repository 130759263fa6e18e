"""One queue: in order, one at a time, with places and a time limit."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mmovseg.web.store import Store
from mmovseg.web.work_queue import BusyError, TooSlowError, WorkQueue

WAIT = 30


@pytest.fixture
def hold():
    """Return work that runs until it is released."""
    started, go_on = threading.Event(), threading.Event()

    def work():
        started.set()
        assert go_on.wait(WAIT)
        return 'done'

    work.started, work.release = started, go_on.set
    yield work
    go_on.set()


def test_calls_run_one_after_the_other(hold):
    queue = WorkQueue(places=4, timeout=WAIT)
    order = []
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(queue.run, hold)
        assert hold.started.wait(WAIT)
        others = []
        for number in range(2):
            others.append(pool.submit(queue.run, lambda n=number: order.append(n)))
            while queue._count < number + 2:
                pass
        assert not order
        hold.release()
        assert first.result() == 'done'
        for other in others:
            other.result()
    assert order == [0, 1]
    assert queue.run(lambda: 7) == 7


def test_there_are_so_many_places(hold):
    queue = WorkQueue(places=1, timeout=WAIT)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(queue.run, hold)
        assert hold.started.wait(WAIT)
        with pytest.raises(BusyError, match='1 photos are waiting'):
            queue.run(print)
        hold.release()
        assert first.result() == 'done'
    assert queue.run(lambda: 1) == 1


def test_what_is_too_slow_is_given_up(hold):
    queue, ran = WorkQueue(places=4, timeout=0.05), []
    with pytest.raises(TooSlowError, match=r'within 0\.05 seconds'):
        queue.run(hold)
    with pytest.raises(TooSlowError):  # waits behind it, and never starts
        queue.run(lambda: ran.append(1))
    hold.release()
    queue.timeout = WAIT
    assert queue.run(lambda: 2) == 2
    assert not ran


def test_errors_of_the_work_are_raised():
    queue = WorkQueue(places=2, timeout=WAIT)

    def fail():
        raise TimeoutError('of the work')

    with pytest.raises(TimeoutError, match='of the work'):
        queue.run(fail)
    assert queue._count == 0


def test_a_store_keeps_the_newest():
    store = Store(count=2, pixels=100)
    store.put('a', 1, 10)
    store.put('b', 2, 10)
    assert store.get('a') == 1
    store.put('c', 3, 10)
    assert (store.get('a'), store.get('b'), store.get('c')) == (1, None, 3)
    store.put('d', 4, 500)
    assert (store.get('a'), store.get('c'), store.get('d')) == (None, None, 4)
