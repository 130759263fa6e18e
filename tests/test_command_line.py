import signal

import pytest

from mmovseg.command_line import exit_on_sigterm


def test_sigterm_ends_what_is_inside_and_nothing_later():
    before = signal.getsignal(signal.SIGTERM)
    tidied = []
    with pytest.raises(SystemExit) as ended, exit_on_sigterm():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            tidied.append(True)
    assert ended.value.code == 143 and tidied
    assert signal.getsignal(signal.SIGTERM) is before
