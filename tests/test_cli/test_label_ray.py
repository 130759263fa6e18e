"""mmovseg label --ray: the same bytes, also if a worker is killed."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from mmovseg.cli.main import main
from mmovseg.shapeworld.drawing import draw_numbered

NAMES = 'red thing, blue thing, stuff: ground'


def label(out, *options):
    words = ['label', 'photos', '-c', NAMES, '-o', out, '--model', 'tiny', '-f', 'coco']
    return main([*words, *options])


def read_files(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(Path(folder).rglob('*'))
        if path.is_file() and path.name != '.lock'
    }


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('photos').mkdir()
    for index in range(20):
        image = Image.fromarray(draw_numbered(1, 'val', index, 64).image)
        image.save(f'photos/{index}.png')


def test_without_ray(photos, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'ray', None)
    assert label('out', '--ray') == 2
    assert "pip install 'mmovseg[ray]'" in capsys.readouterr().err
    assert not Path('out').exists()


def find_workers():
    """Return the processes in which Ray runs our workers."""
    found = []
    for place in Path('/proc').glob('[0-9]*'):
        try:
            title = (place / 'cmdline').read_bytes()
        except OSError:
            continue
        if title.startswith(b'ray::MapWorker(MapBatches(_Actor))'):
            found.append(int(place.name))
    return found


@pytest.mark.slow
def test_same_bytes_after_a_worker_is_killed(photos):
    pytest.importorskip('ray.data', reason='ray')
    Path('photos/bad.jpg').write_bytes(b'x')
    assert label('plain') == 1
    before = set(find_workers())
    killed = []

    def kill():
        while not killed:
            done = len(list(Path('rays/records').glob('*.json')))
            workers = sorted(set(find_workers()) - before)
            if workers and 0 < done < 15:
                os.kill(workers[0], signal.SIGKILL)
                killed.append(workers[0])
            time.sleep(0.01)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    assert label('rays', '--ray', '--workers', '2') == 1
    assert killed
    assert read_files('rays') == read_files('plain')
