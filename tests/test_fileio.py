import argparse
import os
import stat

import pytest

from mmovseg.command_line import output_file
from mmovseg.fileio import (
    atomic_path,
    check_writable,
    closest,
    did_you_mean,
    printable,
    printable_lines,
    write_atomic,
)


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / 'new' / 'x.json'
    write_atomic(path, 'größer')
    assert path.read_bytes() == 'größer'.encode()
    write_atomic(path, b'\x00', sync=True)
    assert path.read_bytes() == b'\x00'
    assert os.listdir(path.parent) == ['x.json']


def test_an_error_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / 'x'
    path.write_text('old')
    with pytest.raises(ZeroDivisionError), atomic_path(path) as draft:
        draft.write_text('half')
        raise ZeroDivisionError
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['x']


def test_the_umask_decides_who_may_read(tmp_path):
    (tmp_path / 'plain').write_text('')
    write_atomic(tmp_path / 'ours', '')
    modes = [(tmp_path / name).stat().st_mode for name in ('plain', 'ours')]
    assert modes[0] == modes[1]


def test_the_longest_name_has_room(tmp_path):
    name = 'x' * os.pathconf(tmp_path, 'PC_NAME_MAX')
    write_atomic(tmp_path / name, 'y')
    assert (tmp_path / name).read_text() == 'y'


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'link').symlink_to('folder/target')
    for text in ('new', 'newer'):
        write_atomic(tmp_path / 'link', text)
        assert (tmp_path / 'link').is_symlink()
        assert (tmp_path / 'folder' / 'target').read_text() == text


def test_a_device_stays_a_device():
    write_atomic('/dev/null', 'x')
    assert stat.S_ISCHR(os.stat('/dev/null').st_mode)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match='is a folder'):
        write_atomic(tmp_path, 'x')


def test_a_protected_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / 'x').write_text('old')
    monkeypatch.setattr(os, 'access', lambda path, mode: mode != os.W_OK)  # no root
    with pytest.raises(PermissionError, match='write-protected'):
        write_atomic(tmp_path / 'x', 'new')


def test_what_a_killed_writer_left_is_overwritten(tmp_path):
    (tmp_path / 'x.part').write_text('a longer rest of before')
    write_atomic(tmp_path / 'x', 'new', part='x.part')
    assert os.listdir(tmp_path) == ['x']
    assert (tmp_path / 'x').read_text() == 'new'


def test_hints_are_for_what_is_alike():
    assert closest('pipline', ['data', 'pipeline']) == 'pipeline'
    assert closest('zebra', ['data', 'pipeline']) is None
    assert did_you_mean('pipline', {'pipeline': 1}) == " Did you mean 'pipeline'?"
    assert did_you_mean('zebra', ['pipeline']) == ''
    assert closest('pipline', ['pipeline'], cutoff=0.99) is None


def test_whether_a_file_can_be_written_is_found_out_first(tmp_path, monkeypatch):
    (tmp_path / 'old').write_text('old')
    check_writable(tmp_path / 'old')
    check_writable(tmp_path / 'new' / 'x', [tmp_path / 'old', tmp_path / 'none'])
    assert (tmp_path / 'old').read_text() == 'old'
    assert os.listdir(tmp_path / 'new') == []
    (tmp_path / 'link').symlink_to('old')
    with pytest.raises(ValueError, match='would overwrite the input'):
        check_writable(tmp_path / 'link', [tmp_path / 'old'])
    for path in (tmp_path, tmp_path / 'old' / 'below'):
        with pytest.raises(argparse.ArgumentTypeError, match=str(path)):
            output_file(str(path))
    assert output_file(str(tmp_path / 'x')) == tmp_path / 'x'


def test_what_would_move_a_terminal_becomes_visible():
    assert printable('a\x1b[2J\nb\udcff\u202e') == r'a\x1b[2J\nb\udcff\u202e'
    assert printable('a\x1b\udcff', '_') == 'a__'
    shown = 'Straße 犬 \u0645\u06cc\u200c\u062e'
    assert printable(shown) == shown
    assert printable_lines('a\x1b[2J:\n  b\r\x07') == 'a\\x1b[2J:\n  b\\r\\x07'
