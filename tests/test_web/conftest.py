"""A service with the packaged model, and a drawing as a photo."""

import io
import threading
import time
from contextlib import contextmanager

import pytest
from PIL import Image

import mmovseg
from mmovseg.shapeworld.drawing import draw_numbered
from mmovseg.web.service import Service


@pytest.fixture(scope='session')
def web_model():
    return mmovseg.load('tiny', device='cpu', show_progress=False)


@pytest.fixture
def service(web_model):
    service = Service(web_model, name='tiny', license='Apache-2.0')
    yield service
    service.close()


@pytest.fixture(scope='session')
def drawing():
    """Return the bytes of a PNG of 192 x 192 pixels."""
    buffer = io.BytesIO()
    image = draw_numbered(0, 'val', 5, 192).image
    Image.fromarray(image).save(buffer, format='PNG')
    return buffer.getvalue()


@pytest.fixture(scope='session')
def serving():
    """Return a context that runs an application and gives its address."""
    return run_server


@contextmanager
def run_server(app):
    """Run an application on a free port of this machine; give its address."""
    import uvicorn

    from mmovseg.cli.runs.serve import listen

    listener = listen(0)
    config = uvicorn.Config(app, log_level='warning', timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs=dict(sockets=[listener]))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f'http://127.0.0.1:{listener.getsockname()[1]}'
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
