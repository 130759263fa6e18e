import os
import threading

import pytest
import torch

from mmovseg.models.text import text_cache
from mmovseg.models.text.text_cache import (
    default_cache_dir,
    read_matrix,
    write_matrix,
)


def test_written_is_read_bit_by_bit(tmp_path, seed):
    weight = torch.randn(5, 3)
    path = tmp_path / 'new' / 'folder' / 'a.safetensors'
    write_matrix(path, weight)
    assert torch.equal(read_matrix(path, (5, 3)), weight)
    assert [file.name for file in path.parent.iterdir()] == ['a.safetensors']


def test_missing_file_is_no_news(tmp_path, recwarn):
    assert read_matrix(tmp_path / 'a.safetensors', (5, 3)) is None
    assert not recwarn.list


def flip_last_bit(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    'damage',
    [
        lambda content: b'',
        lambda content: content[:-10],
        lambda content: b'\xff' * len(content),
        flip_last_bit,
    ],
    ids=['empty', 'truncated', 'garbage', 'one bit'],
)
def test_damaged_file_is_ignored_with_a_warning(tmp_path, damage):
    path = tmp_path / 'a.safetensors'
    write_matrix(path, torch.ones(5, 3))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match='Ignoring cached text embeddings .*a.safe'):
        assert read_matrix(path, (5, 3)) is None
    write_matrix(path, torch.ones(5, 3))
    assert torch.equal(read_matrix(path, (5, 3)), torch.ones(5, 3))


def test_other_shape_is_ignored(tmp_path):
    write_matrix(tmp_path / 'a', torch.ones(5, 3))
    with pytest.warns(UserWarning, match='damaged'):
        assert read_matrix(tmp_path / 'a', (3, 5)) is None


def test_folder_that_cannot_be_written_only_warns(tmp_path):
    (tmp_path / 'file').write_text('a file where the folder should be')
    path = tmp_path / 'file' / 'a.safetensors'
    with pytest.warns(UserWarning, match='not cached in.*MMOVSEG_CACHE') as caught:
        for _ in range(3):  # vocabularies
            assert read_matrix(path, (5, 3)) is None
            write_matrix(path, torch.ones(5, 3))
    assert len(caught) == 1


def test_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError('disk full')

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.warns(UserWarning, match='not cached in.*disk full'):
        write_matrix(tmp_path / 'a.safetensors', torch.ones(5, 3))
    assert not list(tmp_path.iterdir())


def test_readers_never_see_half_a_file(tmp_path, recwarn):
    path = tmp_path / 'a.safetensors'
    matrices = [torch.full((200, 50), float(value)) for value in range(2)]
    write_matrix(path, matrices[0])
    writers = [
        threading.Thread(target=lambda m=m: [write_matrix(path, m) for _ in range(60)])
        for m in matrices
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        weight = read_matrix(path, (200, 50))
        assert weight is not None and weight.unique().numel() == 1
    assert [file.name for file in tmp_path.iterdir()] == ['a.safetensors']
    assert not recwarn.list  # no writer got in the way of another


def test_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv('MMOVSEG_CACHE', str(tmp_path))
    assert default_cache_dir() == tmp_path / 'text'
    monkeypatch.delenv('MMOVSEG_CACHE')
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    assert default_cache_dir() == tmp_path / 'home/.cache/mmovseg/text'


@pytest.mark.parametrize(
    ('variable', 'home'), [(None, None), ('~nobody-here/x', '/root')]
)
def test_nobody_needs_a_home(monkeypatch, variable, home):
    """As in a container with an arbitrary user id: model and results, no cache."""
    for name, value in (('MMOVSEG_CACHE', variable), ('HOME', home)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(text_cache, '_warned', set())
    monkeypatch.setattr('pwd.getpwuid', lambda uid: {}[uid])
    with pytest.warns(UserWarning, match='not cached.*MMOVSEG_CACHE') as caught:
        assert [default_cache_dir(), default_cache_dir()] == [None, None]
    assert len(caught) == 1


def test_a_home_may_be_abbreviated(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('MMOVSEG_CACHE', '~/mine')
    assert default_cache_dir() == tmp_path / 'mine' / 'text'
