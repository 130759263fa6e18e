"""Fetch files by http, whole or not at all."""

from __future__ import annotations

import http.client
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ..version import __version__

SCHEMES = ('http', 'https')
TIMEOUT = 30.0  # seconds without a byte
MIN_RATE = 1024  # bytes per second, on average
MAX_BYTES = 20 * 2**30  # CLIPs with their optimizers have up to 15 GB
BLOCK = 2**20


class DownloadError(OSError):
    """A file that cannot be fetched; the message names the URL."""


def is_url(path: str | Path) -> bool:
    """Return whether a path is one of http or https."""
    return str(path).lower().startswith(tuple(f'{scheme}://' for scheme in SCHEMES))


@contextmanager
def download(url: str, max_bytes: int = MAX_BYTES) -> Iterator[Path]:
    """Fetch a file once, into a folder that lasts as long as the context.

    Args:
        url: Of http or https; it may lead on to other URLs of these, but not from
            https to http.
        max_bytes: Refuse more than these.

    Yields:
        The file, named as in the URL.

    Raises:
        DownloadError: If the server does not answer with a file, the file is cut short
            or too large, or there is no room for it.
    """
    with tempfile.TemporaryDirectory(prefix='mmovseg-') as folder:
        path = Path(folder, Path(urlsplit(url).path).name or 'file')
        try:
            with _open(url) as answer, path.open('wb') as file:
                _copy(answer, file, url, max_bytes, Path(folder))
        except DownloadError:
            raise
        except urllib.error.HTTPError as error:
            reason = f'the server answers {error.code} {error.reason}'
            raise DownloadError(f'{url} cannot be fetched: {reason}.') from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = str(getattr(error, 'reason', None) or error)
            reason = reason or type(error).__name__
            raise DownloadError(f'{url} cannot be fetched: {reason}.') from error
        yield path


def _open(url: str) -> http.client.HTTPResponse:
    request = urllib.request.Request(
        url,
        headers={
            'User-Agent': f'mmovseg/{__version__}',
            'Accept-Encoding': 'identity',
        },
    )
    # Not urlopen, which also knows file:, ftp: and data:.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
        _UnknownSchemes(),
    ):
        opener.add_handler(handler)
    return opener.open(request, timeout=TIMEOUT)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to http and https alone, and none that drops encryption."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        scheme = urlsplit(newurl).scheme
        if scheme not in SCHEMES or (req.type == 'https' and scheme != 'https'):
            raise DownloadError(
                f'{req.full_url} cannot be fetched: it leads on to {newurl}, and only '
                'http and https are followed, the latter to https alone.'
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _UnknownSchemes(urllib.request.BaseHandler):
    def unknown_open(self, req):  # type: ignore[no-untyped-def]
        raise DownloadError(f'{req.full_url} is no URL of http or https.')


def _copy(answer, file, url, max_bytes, folder) -> None:  # type: ignore[no-untyped-def]
    announced = answer.headers.get('Content-Length', '')
    total = int(announced) if announced.isdigit() else None
    room = min(max_bytes, shutil.disk_usage(folder).free)
    received, begin = 0, time.monotonic()
    while total is None or received < total:
        if max(total or 0, received) > room:
            what = f'is {total}' if total else 'has more than'
            raise DownloadError(
                f'{url} {what} bytes, more than the limit of {max_bytes} or the room '
                f'in {folder.parent} (TMPDIR chooses another folder).'
            )
        block = answer.read1(BLOCK)
        if not block:
            break
        file.write(block)
        received += len(block)
        seconds = time.monotonic() - begin
        if seconds > TIMEOUT and received < seconds * MIN_RATE:
            raise DownloadError(
                f'{url} cannot be fetched: {received} bytes came in {seconds:.0f} s.'
            )
    if total is not None and received != total:
        raise DownloadError(
            f'{url} was cut short: {received} of {total} bytes came. Try again.'
        )
