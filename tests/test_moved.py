import importlib
import sys

import pytest

from mmovseg.moved import MOVED


@pytest.mark.parametrize('old', MOVED)
def test_an_old_name_is_the_same_module(old, monkeypatch):
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f'{old} has moved to'):
        module = importlib.import_module(old)
    assert module is importlib.import_module(MOVED[old])
    assert module.__spec__.name == MOVED[old]
