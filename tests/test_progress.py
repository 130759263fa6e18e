"""Progress: a bar in a terminal, plain lines elsewhere."""

import io
import sys
import time

import pytest

from mmovseg.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def work(monkeypatch, seconds, steps, stream=None, **options):
    """Do steps of so many seconds each; return what is shown."""
    now = 0.0
    stream = io.StringIO() if stream is None else stream
    with monkeypatch.context() as patch:
        patch.setattr(time, 'monotonic', lambda: now)
        patch.setattr(sys, 'stderr', stream)
        with Progress(steps, 'Work', 'photo', **options) as progress:
            for _ in range(steps):
                now += seconds
                progress.update()
    return stream.getvalue()


@pytest.mark.parametrize(
    ('seconds', 'steps', 'lines'),
    [
        (0.01, 400, 0),  # over before anybody wonders
        (0.1, 1000, 20),  # each 5 % after 5 s
        (1, 10, 2),  # no more than one in 5 s
        (60, 1000, 1000),  # one a minute
        (4, 2, 1),
    ],
)
def test_plain_lines_without_a_terminal(monkeypatch, seconds, steps, lines):
    shown = work(monkeypatch, seconds, steps)
    assert len(shown.splitlines()) == lines
    assert '\r' not in shown and '\x1b' not in shown
    if lines:
        end = f'Work: 100%, {steps} of {steps} (photo) after {seconds * steps:.0f} s\n'
        assert shown.endswith(end)


def test_bar_in_a_terminal(monkeypatch):
    shown = work(monkeypatch, 0.01, 20, Terminal())
    assert '\rWork: 100%' in shown and '20/20' in shown
    assert work(monkeypatch, 60, 20, Terminal(), disable=True) == ''


def test_nothing_if_disabled_or_without_stderr(monkeypatch):
    assert work(monkeypatch, 60, 20, disable=True) == ''
    monkeypatch.setattr(sys, 'stderr', None)  # as in a program without a console
    with Progress(1, 'Work') as progress:
        progress.update()
    assert progress.done == 1


def test_an_error_in_a_job_ends_its_lines(monkeypatch):
    now, stream = 0.0, io.StringIO()
    monkeypatch.setattr(time, 'monotonic', lambda: now)
    monkeypatch.setattr(sys, 'stderr', stream)
    with pytest.raises(ZeroDivisionError), Progress(100, 'Work') as progress:
        for step in range(100):
            now += 1
            progress.update()
            1 / (7 - step)
    assert [line.split(',')[0] for line in stream.getvalue().splitlines()] == [
        'Work: 5%',
        'Work: 8%',
    ]
