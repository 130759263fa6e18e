"""Members of tar files are read where they are, and never lead out of them."""

import io
import tarfile

import pytest

from mmovseg import tar_files


def write_tar(path, members, mode='w'):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_members_are_paths_below_the_file(tmp_path):
    long = 'x' * 150
    path = write_tar(
        tmp_path / 'a.tar',
        [('./1.jpg', b'one'), (f'sub/{long}.jpg', b'two' * 999), ('1.jpg', b'three')],
    )
    with tarfile.open(path, 'a') as tar:
        info = tarfile.TarInfo('link.jpg')
        info.type, info.linkname = tarfile.SYMTYPE, '/etc/passwd'
        tar.addfile(info)
    assert list(tar_files.list_members(path)) == [f'sub/{long}.jpg', '1.jpg']
    assert tar_files.read_bytes(path / '1.jpg') == b'three'  # the last of a name
    assert tar_files.read_bytes(path / 'sub' / f'{long}.jpg') == b'two' * 999
    size, time = tar_files.stamp(path / '1.jpg')
    assert size == 5 and time == path.stat().st_mtime_ns
    with pytest.raises(FileNotFoundError):
        tar_files.read_bytes(path / 'link.jpg')
    with pytest.raises(FileNotFoundError):
        tar_files.stamp(path / '2.jpg')


def test_other_files_stay_what_they_are(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_bytes(b'abc')
    assert tar_files.read_bytes(path) == b'abc'
    assert tar_files.stamp(path) == [3, path.stat().st_mtime_ns]
    assert tar_files.split_path(path) is None
    (tmp_path / 'b.tar').mkdir()
    (tmp_path / 'b.tar' / '1.jpg').write_bytes(b'x')  # a folder of this name
    assert tar_files.read_bytes(tmp_path / 'b.tar' / '1.jpg') == b'x'
    with pytest.raises(NotADirectoryError):
        tar_files.read_bytes(path / '1.jpg')


def test_a_file_that_changes_is_read_anew(tmp_path):
    path = write_tar(tmp_path / 'a.tar', [('1.jpg', b'one')])
    assert tar_files.read_bytes(path / '1.jpg') == b'one'
    write_tar(path, [('0.jpg', b'zero' * 999), ('1.jpg', b'two')])
    assert tar_files.read_bytes(path / '1.jpg') == b'two'


NAMES = ['../1.jpg', '/1.jpg', 'a/../../1.jpg', 'a\\1.jpg', '.']


@pytest.mark.parametrize('name', NAMES)
def test_members_that_lead_out_are_refused(tmp_path, name):
    path = write_tar(tmp_path / 'a.tar', [('0.jpg', b'0'), (name, b'1')])
    with pytest.raises(ValueError, match='which leads out of it'):
        tar_files.list_members(path)


def test_what_is_no_tar_file(tmp_path):
    text = tmp_path / 'text.tar'
    text.write_bytes(b'hello' * 500)
    packed = write_tar(tmp_path / 'packed.tar', [('1.jpg', b'1')], 'w:gz')
    cut = write_tar(tmp_path / 'cut.tar', [('1.jpg', b'1' * 9999)])
    cut.write_bytes(cut.read_bytes()[:3000])
    empty = tmp_path / 'empty.tar'
    empty.touch()
    for path in (text, packed, cut, empty):
        with pytest.raises(ValueError, match=rf'{path.name} cannot be read as a tar'):
            tar_files.list_members(path)
