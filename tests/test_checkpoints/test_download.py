"""Downloads are whole or an error that names the URL."""

import socket
import time

import pytest

from mmovseg.checkpoints import DownloadError, download
from mmovseg.checkpoints import download as download_function

MODULE = __import__('sys').modules[download_function.__module__]


def send(status, headers=(), body=b''):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def fetch(url, **options):
    with download(url, **options) as path:
        return path.name, path.read_bytes()


def test_a_file_is_fetched_and_gone_afterwards(serve):
    url, asked = serve({'/a/x.pth?y=1': b'content'})
    with download(f'{url}/a/x.pth?y=1') as path:
        assert path.name == 'x.pth' and path.read_bytes() == b'content'
    assert not path.exists() and asked == ['/a/x.pth?y=1']


def test_no_length_is_no_fault(serve):
    url, _ = serve({'/x': send(200, body=b'all of it')})
    assert fetch(f'{url}/x') == ('x', b'all of it')


@pytest.mark.parametrize(
    ('answer', 'message'),
    [
        (send(404), '404 Not Found'),
        (send(500), '500'),
        (send(200, [('Content-Length', '10')], b'short'), 'cut short: 5 of 10'),
        (send(302, [('Location', 'file:///etc/passwd')]), 'file:'),
        (send(302, [('Location', 'ftp://127.0.0.1/x')]), 'leads on to ftp:'),
        (send(302, [('Location', '/x')]), 'redirect'),
        (send(200, [('Content-Length', '999')]), 'limit of 100'),
        (send(200, body=b'.' * 200), 'limit of 100'),
    ],
)
def test_other_answers_are_named(serve, answer, message):
    url, _ = serve({'/x': answer})
    with pytest.raises(DownloadError, match=message) as error:
        fetch(f'{url}/x', max_bytes=100)
    assert f'{url}/x' in str(error.value)


def test_a_redirect_to_http_is_followed(serve):
    url, _ = serve({'/x': send(302, [('Location', '/y')]), '/y': b'content'})
    assert fetch(f'{url}/x')[1] == b'content'


def test_servers_that_say_nothing_are_left(serve, monkeypatch):
    monkeypatch.setattr(MODULE, 'TIMEOUT', 0.1)
    url, _ = serve({'/x': lambda handler: time.sleep(1)})
    with pytest.raises(DownloadError, match='timed out'):
        fetch(f'{url}/x')


def test_servers_that_send_a_byte_now_and_then_are_left(serve, monkeypatch):
    def trickle(handler):
        send(200, [('Content-Length', '1000')])(handler)
        for _ in range(20):
            handler.wfile.write(b'.')
            time.sleep(0.05)

    monkeypatch.setattr(MODULE, 'TIMEOUT', 0.3)
    url, _ = serve({'/x': trickle})
    with pytest.raises(DownloadError, match=r'bytes came in'):
        fetch(f'{url}/x')


def test_nobody_answers():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{free.getsockname()[1]}/x'
        with pytest.raises(DownloadError, match='refused') as error:
            fetch(url)
    assert url in str(error.value)


@pytest.mark.parametrize('url', ['file:///etc/passwd', 'ftp://127.0.0.1/x', 'data:,x'])
def test_other_schemes_are_refused(url):
    with pytest.raises(DownloadError, match='no URL of http or https'):
        fetch(url)
