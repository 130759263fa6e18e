"""The web application: the REST interface below ``/api``, and the page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from ..fileio import printable_lines
from ..version import __version__
from .service import RequestError, Service, StoredResult
from .work_queue import BusyError, TooSlowError

# The names of this machine. A page of another site that gives its own name to this
# address (DNS rebinding) is refused.
HOSTS = ('127.0.0.1', 'localhost')
FORM_BYTES = 1 << 20  # of a form besides the photo
ADDRESSES = (
    'GET /api/info, POST /api/segment, GET /api/results/RESULT, and below it '
    'overlay.png, labels.png and labels/FORMAT.zip'
)


def make_app(service: Service, *, page: bool = True, classes: str = '') -> FastAPI:
    """Make the application, for uvicorn or another ASGI server.

    Args:
        service: What it serves.
        page: Whether there is a page at ``/``, or the REST interface alone.
        classes: Names that the page has at the start.
    """

    @asynccontextmanager
    async def live(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title='mmovseg',
        version=__version__,
        openapi_url='/api/openapi.json',
        docs_url=None,  # it fetches scripts from elsewhere
        redoc_url=None,
        lifespan=live,
    )
    app.middleware('http')(_guard(service))
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))
    _add_errors(app)
    _add_routes(app, service)
    if page:
        from .page import add_page

        add_page(app, service, classes)
    return app


def _guard(service: Service) -> Callable:
    """Return a middleware that refuses other sites' pages and forms without end."""

    async def guard(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        origin = urlsplit(request.headers.get('origin', '')).hostname
        if origin is not None and origin not in HOSTS:
            return _refuse('Pages of other sites cannot use this server.', 403)
        if request.method != 'POST' or not request.url.path.startswith('/api/'):
            return await call_next(request)
        length = request.headers.get('content-length', '')
        most = service.limits.max_bytes + FORM_BYTES
        if not length.isdecimal():
            return _refuse('The request has to tell its Content-Length.', 411)
        if int(length) > most:
            async for _ in request.stream():
                pass  # a browser reads no answer before it has sent all
            return _refuse(
                f'The photo has {int(length) / 1e6:.0f} megabytes, and there can be '
                f'{service.limits.max_bytes / 1e6:g} at most. Make it smaller.',
                413,
            )
        return await call_next(request)

    return guard


def _add_errors(app: FastAPI) -> None:
    """Answer errors with a sentence: ``{"error": "..."}``."""

    @app.exception_handler(RequestError)
    def refuse(_: Request, error: RequestError) -> Response:
        return _refuse(str(error), error.status)

    @app.exception_handler(BusyError)
    def wait(_: Request, error: BusyError) -> Response:
        return _refuse(str(error), 503)

    @app.exception_handler(TooSlowError)
    def stop(_: Request, error: TooSlowError) -> Response:
        return _refuse(str(error), 504)

    @app.exception_handler(RequestValidationError)
    def explain(_: Request, error: RequestValidationError) -> Response:
        faults = [
            f'{".".join(map(str, x["loc"][1:]))}: {x["msg"]}, got {x.get("input")!r}.'
            for x in error.errors()
        ]
        return _refuse(' '.join(faults), 422)


def _refuse(message: str, status: int) -> JSONResponse:
    return JSONResponse(dict(error=printable_lines(message)), status)


def _add_routes(app: FastAPI, service: Service) -> None:
    """Add the REST interface."""

    @app.get('/api/info')
    def info() -> dict[str, Any]:
        """Model, limits, tasks, formats and packaged lists of names."""
        return service.describe()

    @app.post('/api/segment')
    def segment(
        photo: Annotated[UploadFile | None, File()] = None,
        photo_key: Annotated[str, Form()] = '',
        classes: Annotated[str, Form()] = '',
        task: Annotated[str, Form()] = 'panoptic',
        score_thr: Annotated[float | None, Form()] = None,
        min_area: Annotated[float | None, Form()] = None,
    ) -> dict[str, Any]:
        """Segment a photo that is sent along, or one that was sent before."""
        done = service.segment(
            classes,
            data=None if photo is None else photo.file.read(),
            file_name='' if photo is None else photo.filename or '',
            photo=photo_key,
            task=task,
            score_thr=score_thr,
            min_area=min_area,
        )
        return done.to_dict()

    @app.get('/api/results/{key}')
    def result(key: str) -> dict[str, Any]:
        """Return a result again."""
        return service.get_result(key).to_dict()

    for ending, draw in {
        'overlay': service.draw,
        'labels': service.draw_labels,
        'picture': service.draw_picture,
        'numbers': service.draw_numbers,
    }.items():
        app.get(f'/api/results/{{key}}/{ending}.png')(
            _make_getter(service, draw, ending)
        )

    @app.get('/api/results/{key}/labels/{form}.zip')
    def labels(key: str, form: str) -> Response:
        """Label files of a result; see docs/labels.md for the formats."""
        data = service.write_labels(key, form)
        return _send(data, 'application/zip', service.get_result(key), f'{form}.zip')

    @app.api_route('/api/{rest:path}', methods=['GET', 'POST'])
    def nothing(rest: str) -> None:
        """Say what there is."""
        raise RequestError(
            f'There is no such address: /api/{rest}. There are {ADDRESSES}.', 404
        )


def _make_getter(
    service: Service, draw: Callable[[str], bytes], ending: str
) -> Callable[[str], Response]:
    def get(key: str) -> Response:
        data = draw(key)
        return _send(data, 'image/png', service.get_result(key), f'{ending}.png')

    get.__name__ = ending
    get.__doc__ = f'The {ending} of a result, as PNG.'
    return get


def _send(data: bytes, kind: str, done: StoredResult, ending: str) -> Response:
    """Send a file; a browser saves it under the name of the photo."""
    stem = done.photo.encoded.photo.name
    name = ''.join(x if x.isascii() and x.isalnum() else '_' for x in stem)
    place = 'inline' if ending == 'picture.png' else 'attachment'
    headers = {'Content-Disposition': f'{place}; filename="{name}_{ending}"'}
    return Response(data, media_type=kind, headers=headers)
