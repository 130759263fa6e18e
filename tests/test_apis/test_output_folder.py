"""Files of results: nothing that is there is lost, and faults are told first."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from mmovseg.apis.images import write_png
from mmovseg.apis.output_folder import (
    OutputError,
    OutputFolder,
    describe_source,
    make_names,
    open_folder,
)

ARRAY = np.zeros((2, 2, 3), np.uint8)


def save(folder, source, name=None):
    """Write a drawing as the inferencer does; return its name."""
    (name,) = make_names([source], folder) if name is None else [name]
    with folder.claim(name, source) as name:
        write_png(folder.path / f'{name}_overlay.png', ARRAY, describe_source(source))
    return name


def test_names_differ_in_more_than_case():
    sources = ['a/x.png', 'b/X.jpg', ARRAY, 'x.bmp', 'e\u0301.png', '\u00e9.png']
    names = ['x', 'X_2', 'image_2', 'x_3', 'e\u0301', '\u00e9_2']
    assert make_names(sources) == names


def test_names_can_be_written_and_shown():
    sources = [b'x\xe9\x1b[2J.png', 'https://host/dir/a%20b.jpg?size=2', '/']
    sources = [os.fsdecode(x) for x in sources]
    assert make_names(sources) == ['x__[2J', 'a%20b', 'image_2']


def test_long_names_are_cut_and_stay_different(tmp_path):
    stem = 'ß' * 120
    sources = [f'{stem}{i}.png' for i in range(11)]
    with OutputFolder(tmp_path / 'out') as folder:
        names = make_names(sources, folder)
        assert len(set(names)) == 11
        for name, source in zip(names, sources, strict=True):
            save(folder, source, name)
            (folder.path / f'{name}_heatmaps.png').touch()
    assert len(os.listdir(folder.path)) == 22


def test_arrays_never_replace_those_before(tmp_path):
    folder = OutputFolder(tmp_path)
    assert [save(folder, ARRAY) for _ in range(3)] == ['image_0', 'image_1', 'image_2']
    assert make_names([ARRAY, 'x.png', ARRAY], folder) == ['image_3', 'x', 'image_4']


@pytest.mark.parametrize('name', ['a_overlay.png', 'a_labels.png', 'a.json', 'A.JSON'])
def test_files_of_others_stay(tmp_path, name):
    (tmp_path / name).write_bytes(b'mine')
    folder = OutputFolder(tmp_path)
    assert save(folder, 'photos/a.png') == 'a_2'
    assert (tmp_path / name).read_bytes() == b'mine'


def test_the_same_file_replaces_its_own_result_alone(tmp_path):
    folder = OutputFolder(tmp_path)
    for _ in range(2):
        assert save(folder, 'photos/a.png') == 'a'
        assert save(folder, 'others/a.png') == 'a_2'
    write_png(tmp_path / 'a_overlay.png', ARRAY)  # a drawing of another program
    assert save(folder, 'photos/a.png') == 'a_3'


def test_threads_get_different_names(tmp_path):
    folder, barrier = OutputFolder(tmp_path), threading.Barrier(4)

    def work(_):
        barrier.wait(60)
        return save(folder, ARRAY, 'image_0')

    with ThreadPoolExecutor(4) as pool:
        names = set(pool.map(work, range(4)))
    assert names == {f'image_{i}' for i in range(4)}


def test_photos_and_results_have_different_folders(tmp_path):
    photos = tmp_path / 'photos'
    photos.mkdir()
    Image.fromarray(ARRAY).save(photos / 'a.png')
    (tmp_path / 'link').symlink_to('photos')
    for out in (photos, tmp_path / 'link', photos / '..' / 'photos', f'{photos}/'):
        with pytest.raises(OutputError, match='the photos are in it'):
            open_folder(out, [ARRAY, photos / 'a.png'])
    with open_folder(photos / 'out', [photos / 'a.png']):
        pass
    assert os.listdir(photos) == ['a.png']
    with open_folder('', [photos / 'a.png']) as folder:
        assert folder is None


def test_what_is_no_folder_is_refused_first(tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    (tmp_path / 'dangling').symlink_to('nowhere/deep')
    for out in (tmp_path / 'file', tmp_path / 'file' / 'below', tmp_path / 'dangling'):
        with pytest.raises(OutputError, match=str(out)):
            OutputFolder(out)
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OutputError, match='No space left'):
        OutputFolder(tmp_path / 'new' / 'out')
    assert not (tmp_path / 'new').exists()


def full(*_):
    raise OSError(28, 'No space left on device')


def test_a_disk_that_fills_later(tmp_path):
    folder = OutputFolder(tmp_path)
    with pytest.raises(OutputError, match='No space left'), folder.claim('a', 'a.png'):
        full()
    assert os.listdir(tmp_path) == []


def test_a_folder_that_vanishes_is_not_made_again(tmp_path):
    folder = OutputFolder(tmp_path / 'out')
    folder.path.rmdir()
    with pytest.raises(OutputError, match='has been removed'):
        save(folder, 'a.png', 'a')
    assert not folder.path.exists()


def test_other_errors_pass(tmp_path):
    folder = OutputFolder(tmp_path)
    with pytest.raises(ZeroDivisionError), folder.claim('a', 'a.png'):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []
