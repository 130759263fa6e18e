"""The client without a server; test_app.py has it with one."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmovseg.web import Client, ServiceError
from mmovseg.web.client import encode_form

ROOT = Path(__file__).resolve().parents[2]


def test_the_client_needs_nothing_slow():
    program = (
        'import sys, mmovseg.web; slow = {"torch", "numpy", "PIL", "mmengine", '
        '"gradio", "fastapi"}; sys.exit(" ".join(slow & set(sys.modules)) or None)'
    )
    subprocess.run([sys.executable, '-c', program], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    'url, message',
    [
        (
            'http://127.0.0.1:9',
            r'No answer from http://127\.0\.0\.1:9: .*mmovseg serve',
        ),
        ('file:///etc', 'is no address of a server'),
        ('nothing', 'is no address of a server'),
    ],
)
def test_servers_that_are_not_there(url, message):
    with pytest.raises(ServiceError, match=message) as caught:
        Client(url).describe()
    assert caught.value.status == 0


def test_photos_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        Client().segment(tmp_path / 'none.png', 'cat')


def test_forms():
    body, kind = encode_form(dict(classes='Käfer, cat'), ('a"\r\nb.png', b'\0\xff'))
    mark = kind.partition('boundary=')[2]
    assert body.count(mark.encode()) == 3 and body.endswith(f'--{mark}--\r\n'.encode())
    assert 'name="classes"\r\n\r\nKäfer, cat\r\n'.encode() in body
    assert b'filename="a%22%0D%0Ab.png"' in body and b'\r\n\r\n\0\xff\r\n' in body
