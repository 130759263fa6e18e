"""Files that stay are whole, proven, and go on after an interruption."""

import hashlib
import re
import sys
import threading
import time

import pytest

from mmovseg.checkpoints import DownloadError, fetch
from mmovseg.checkpoints import download as download_function

MODULE = sys.modules[download_function.__module__]
CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(MODULE, 'PAUSE', 0)
    monkeypatch.setattr(MODULE, 'BLOCK', 1000)


def breaking(
    content=CONTENT, most=3000, tag='"a"', ranges=True, times=99, header='ETag'
):
    """Serve a file in answers that break off after some bytes."""
    seen = []

    def answer(handler):
        wanted = re.match(r'bytes=(\d+)-', handler.headers.get('Range', ''))
        same = handler.headers.get('If-Range') in (None, tag)
        start = int(wanted[1]) if ranges and wanted and same else 0
        seen.append(start)
        handler.send_response(206 if start else 200)
        if start:
            place = f'bytes {start}-{len(content) - 1}/{len(content)}'
            handler.send_header('Content-Range', place)
        if tag:
            handler.send_header(header, tag)
        handler.send_header('Content-Length', str(len(content) - start))
        handler.end_headers()
        end = start + most if len(seen) <= times else None
        handler.wfile.write(content[start:end])

    answer.seen = seen
    return answer


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != '.lock')


@pytest.mark.parametrize('header', ['ETag', 'Last-Modified'])
def test_what_breaks_off_goes_on(serve, tmp_path, header):
    answer = breaking(header=header)
    url, _ = serve({'/x.pth': answer})
    path = fetch(f'{url}/x.pth', tmp_path / 'a/x.pth')
    assert path.read_bytes() == CONTENT
    assert answer.seen == [0, 3000, 6000, 9000]
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert (tmp_path / 'a/x.pth.sha256').read_text() == f'{digest}  x.pth\n'
    assert names(tmp_path / 'a') == ['x.pth', 'x.pth.sha256']


def test_a_file_that_is_there_is_left(serve, tmp_path):
    (tmp_path / 'x').write_bytes(b'mine')
    url, asked = serve({'/x': CONTENT})
    assert fetch(f'{url}/x', tmp_path / 'x').read_bytes() == b'mine'
    assert not asked


def test_a_killed_process_leaves_what_it_had(serve, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    answer = breaking()
    url, _ = serve({'/x': answer})
    with monkeypatch.context() as patch:
        patch.setattr(MODULE.time, 'sleep', stop)
        with pytest.raises(KeyboardInterrupt):
            fetch(f'{url}/x', tmp_path / 'x')
    assert not (tmp_path / 'x').exists()
    assert (tmp_path / 'x.part').read_bytes() == CONTENT[:3000]
    assert fetch(f'{url}/x', tmp_path / 'x').read_bytes() == CONTENT
    assert answer.seen[1] == 3000


@pytest.mark.parametrize('tag', [None, 'W/"weak"'])
def test_without_a_strong_tag_nothing_is_joined(serve, tmp_path, tag):
    answer = breaking(tag=tag, times=2)
    url, _ = serve({'/x': answer})
    assert fetch(f'{url}/x', tmp_path / 'x').read_bytes() == CONTENT
    assert answer.seen == [0, 0, 0]


def test_a_known_hash_is_proof_enough_to_join(serve, tmp_path):
    answer = breaking(tag=None)
    url, _ = serve({'/x': answer})
    digest = hashlib.sha256(CONTENT).hexdigest()
    fetch(f'{url}/x', tmp_path / 'x', sha256=digest)
    assert answer.seen == [0, 3000, 6000, 9000]
    assert names(tmp_path) == ['x']


def test_a_file_that_changes_meanwhile_is_fetched_anew(serve, tmp_path):
    other = CONTENT[::-1]
    answers = [breaking(times=1), breaking(other, tag='"b"', times=0)]
    url, _ = serve({'/x': lambda handler: answers[len(answers[0].seen) > 0](handler)})
    assert fetch(f'{url}/x', tmp_path / 'x').read_bytes() == other


def test_a_part_of_another_address_is_not_continued(serve, tmp_path):
    url, _ = serve({'/x': breaking(times=99, most=0), '/y': breaking(b'y' * 50)})
    (tmp_path / 'x.part').write_bytes(b'rest of something')
    with pytest.raises(DownloadError, match='cut short'):
        fetch(f'{url}/x', tmp_path / 'x')
    assert fetch(f'{url}/y', tmp_path / 'x').read_bytes() == b'y' * 50


def test_servers_without_ranges_are_tried_a_few_times(serve, tmp_path):
    answer = breaking(ranges=False)
    url, _ = serve({'/x': answer})
    with pytest.raises(DownloadError, match=r'cut short.*3000 bytes of it are kept'):
        fetch(f'{url}/x', tmp_path / 'x')
    assert len(answer.seen) == 1 + MODULE.MAX_EMPTY
    assert not (tmp_path / 'x').exists()


def test_a_part_that_is_too_long_is_dropped(serve, tmp_path):
    good = breaking(times=0)

    def answer(handler):
        if handler.headers.get('Range') == 'bytes=20000-':
            handler.send_error(416)
        else:
            good(handler)

    url, _ = serve({'/x': answer})
    (tmp_path / 'x.part').write_bytes(bytes(20000))
    (tmp_path / 'x.part.json').write_text(f'{{"url": "{url}/x", "version": "\\"a\\""}}')
    assert fetch(f'{url}/x', tmp_path / 'x').read_bytes() == CONTENT


def test_busy_servers_are_asked_again_and_missing_files_are_not(serve, tmp_path):
    asked = []

    def busy(handler):
        asked.append('busy')
        handler.send_error(503) if len(asked) < 3 else breaking(times=0)(handler)

    def gone(handler):
        asked.append('gone')
        handler.send_error(404)

    url, _ = serve({'/busy': busy, '/gone': gone})
    assert fetch(f'{url}/busy', tmp_path / 'x').read_bytes() == CONTENT
    with pytest.raises(DownloadError, match='404'):
        fetch(f'{url}/gone', tmp_path / 'y')
    assert asked == ['busy'] * 3 + ['gone']


@pytest.mark.parametrize(
    ('content', 'message'),
    [(b'\n<!DOCTYPE html><p>quota exceeded', 'page of the web'), (b'', 'nothing')],
)
def test_pages_and_empty_files_are_refused(serve, tmp_path, content, message):
    url, _ = serve({'/x': content})
    with pytest.raises(DownloadError, match=message) as error:
        fetch(f'{url}/x', tmp_path / 'x')
    assert f'{url}/x' in str(error.value)
    assert names(tmp_path) == []


def test_a_wrong_file_is_refused(serve, tmp_path):
    url, _ = serve({'/x': b'another file'})
    found = hashlib.sha256(b'another file').hexdigest()
    with pytest.raises(DownloadError, match=f'SHA-256 is {found}, not 000'):
        fetch(f'{url}/x', tmp_path / 'x', sha256='0' * 64)
    assert names(tmp_path) == []


def test_without_a_published_hash_the_first_file_counts(serve, tmp_path):
    url, _ = serve({'/x': CONTENT, '/y': CONTENT + b'!'})
    path = fetch(f'{url}/x', tmp_path / 'x')
    path.unlink()
    with pytest.raises(DownloadError, match=r'first download.*delete .*x\.sha256'):
        fetch(f'{url}/y', path)
    assert not path.exists()
    assert fetch(f'{url}/x', path).read_bytes() == CONTENT
    path.unlink()
    (tmp_path / 'x.sha256').unlink()
    assert fetch(f'{url}/y', path).read_bytes() == CONTENT + b'!'


def test_slow_servers_are_left(serve, tmp_path, monkeypatch):
    def trickle(handler):
        breaking(most=0)(handler)
        for _ in range(20):
            handler.wfile.write(b'.')
            time.sleep(0.05)

    monkeypatch.setattr(MODULE, 'TIMEOUT', 0.3)
    monkeypatch.setattr(MODULE, 'ATTEMPTS', 2)
    url, _ = serve({'/x': trickle})
    with pytest.raises(DownloadError, match=r'bytes came in.*are kept'):
        fetch(f'{url}/x', tmp_path / 'x')


def test_too_large_files_are_refused(serve, tmp_path):
    url, _ = serve({'/x': CONTENT})
    with pytest.raises(DownloadError, match='more than the limit of 100'):
        fetch(f'{url}/x', tmp_path / 'x', max_bytes=100)


def test_two_fetches_of_a_file_ask_once(serve, tmp_path):
    def slowly(handler):
        time.sleep(0.2)
        breaking(times=0)(handler)

    url, asked = serve({'/x': slowly})
    threads = [
        threading.Thread(target=fetch, args=(f'{url}/x', tmp_path / 'x'))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / 'x').read_bytes() == CONTENT
    assert asked == ['/x']
