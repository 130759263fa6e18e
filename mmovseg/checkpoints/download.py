"""Fetch files by http, whole or not at all."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from ..fileio import hash_file, write_atomic
from ..progress import Progress
from ..version import __version__

SCHEMES = ('http', 'https')
TIMEOUT = 30.0  # seconds without a byte
MIN_RATE = 1024  # bytes per second, on average
MAX_BYTES = 20 * 2**30  # CLIPs with their optimizers have up to 15 GB
BLOCK = 2**20
ATTEMPTS, PAUSE = 20, 1.0  # to get a file that breaks off; seconds between them
MAX_EMPTY = 3  # attempts in a row that bring nothing


class DownloadError(OSError):
    """A file that cannot be fetched; the message names the URL."""


class _BrokenOff(DownloadError):
    """One that may come if it is asked for again."""


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
        with _named_errors(url), _open(url) as answer:
            _copy(answer, path, url, max_bytes, f'{folder} (TMPDIR names another one)')
        yield path


def fetch(
    url: str,
    path: str | Path,
    *,
    sha256: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Path:
    """Fetch a file to stay.

    What has come of it lies in ``PATH.part``. If the server breaks off, or the process
    is ended, it goes on from there, provided that the server says that its file is
    still the same. Of several processes one fetches, and the others wait.

    Args:
        url: As in :func:`download`.
        path: Where the file goes. One that is there already is left.
        sha256: Of the file, in hexadecimal digits. Without it the file must be the one
            that came first; see :func:`accept`.
        max_bytes: Refuse more than these.

    Returns:
        ``path``.

    Raises:
        DownloadError: If the server does not answer with a file, the file is another
            than expected or too large, or there is no room for it.
        OSError: If the folder cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path):
        if not path.is_file():
            part = path.with_name(f'{path.name}.part')
            _fetch_part(url, part, sha256, max_bytes)
            accept(part, path, url, sha256)
    return path


def lock(path: Path) -> FileLock:
    """Return a lock of the operating system, for who makes a file."""
    return FileLock(path.with_name(f'{path.name}.lock'))


def accept(part: Path, path: Path, source: str, sha256: str | None = None) -> None:
    """Put a fetched file in its place if it is the right one, or delete it.

    Args:
        part: The file, next to ``path``.
        path: Its place.
        source: Where it is from, for messages.
        sha256: What it must be, in hexadecimal digits. None takes ``PATH.sha256``,
            which the first file leaves: it must be the same one every time.

    Raises:
        DownloadError: If it is a page of the web, empty, or another file.
    """
    with part.open('rb') as file:
        start = file.read(64).lstrip()
    note = path.with_name(f'{path.name}.sha256')
    found, expected = hash_file(part), sha256
    if expected is None and note.is_file():
        expected = note.read_text().split(' ')[0]
    if not start or start.startswith(b'<'):
        problem = 'nothing' if not start else 'a page of the web, not the file'
        problem = f'{source} gives {problem}.'
    elif expected not in (None, found):
        problem = (
            f'{source} gives another file than expected: its SHA-256 is {found}, not '
            f'{expected}.'
        )
        if sha256 is None:
            problem += (
                f' The latter is that of the first download. If the file was replaced '
                f'on purpose, delete {note}.'
            )
    else:
        if sha256 is None:
            write_atomic(note, f'{found}  {path.name}\n')  # as of sha256sum
        part.replace(path)
        return
    part.unlink()
    raise DownloadError(problem)


def _fetch_part(url: str, part: Path, sha256: str | None, max_bytes: int) -> None:
    """Fetch a file, in as many attempts as it takes while some of it comes."""
    empty = 0
    for attempt in range(ATTEMPTS):
        before = _size(part)
        try:
            with _named_errors(url):
                _fetch_rest(url, part, sha256, max_bytes)
            return
        except _BrokenOff as error:
            empty = empty + 1 if _size(part) <= before else 0
            if empty == MAX_EMPTY or attempt == ATTEMPTS - 1:
                kept = _size(part)
                remark = f' {kept} bytes of it are kept in {part}.' if kept else ''
                raise DownloadError(f'{error}{remark}') from error
        time.sleep(PAUSE)


def _fetch_rest(url: str, part: Path, sha256: str | None, max_bytes: int) -> None:
    """Fetch what a part of a file lacks, or the whole file."""
    note = part.with_name(f'{part.name}.json')  # what is in the part
    known = _read_note(note)
    version = known.get('version')
    start = _size(part) if known.get('url') == url and (version or sha256) else 0
    headers = {'Range': f'bytes={start}-'} if start else {}
    if start and version:
        headers['If-Range'] = version
    try:
        answer = _open(url, headers)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is no beginning of the file
            part.unlink()
            raise _BrokenOff(f'{url} has less than {start} bytes.') from None
        raise
    with answer:
        if answer.status != 206:
            start = 0
            tag = answer.headers.get('ETag') or answer.headers.get('Last-Modified')
            if tag is not None and tag.startswith('W/'):
                tag = None  # of equal meaning, not of equal bytes
            write_atomic(note, json.dumps(dict(url=url, version=tag)))
        elif _first_byte(answer) != start:
            part.unlink()
            raise _BrokenOff(f'{url} cannot be fetched: it gives another part.')
        place = str(part.parent)
        _copy(answer, part, url, max_bytes, place, start=start, show=True)
    note.unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _read_note(note: Path) -> dict[str, Any]:
    try:
        content = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _first_byte(answer: http.client.HTTPResponse) -> int | None:
    found = re.match(r'bytes (\d+)-', answer.headers.get('Content-Range', ''))
    return int(found[1]) if found else None


@contextmanager
def _named_errors(url: str) -> Iterator[None]:
    try:
        yield
    except DownloadError:
        raise
    except urllib.error.HTTPError as error:
        reason = f'the server answers {error.code} {error.reason}'
        kind = _BrokenOff if error.code >= 500 or error.code == 429 else DownloadError
        raise kind(f'{url} cannot be fetched: {reason}.') from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = str(getattr(error, 'reason', None) or error)
        reason = reason or type(error).__name__
        kind = DownloadError if isinstance(error, ValueError) else _BrokenOff
        raise kind(f'{url} cannot be fetched: {reason}.') from error


def _open(
    url: str, headers: Mapping[str, str] | None = None
) -> http.client.HTTPResponse:
    request = urllib.request.Request(
        url,
        headers={
            'User-Agent': f'mmovseg/{__version__}',
            'Accept-Encoding': 'identity',
            **(headers or {}),
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


def _copy(
    answer: Any,
    path: Path,
    url: str,
    max_bytes: int,
    place: str,
    *,
    start: int = 0,
    show: bool = False,
) -> None:
    """Write what a server answers to a file, from a byte on."""
    announced = answer.headers.get('Content-Length', '')
    total = start + int(announced) if announced.isdigit() else None
    room = min(max_bytes, start + shutil.disk_usage(path.parent).free)
    received, begin = start, time.monotonic()
    with (
        path.open('r+b' if start else 'wb') as file,
        Progress(total or 0, path.name, 'B', disable=not (show and total)) as progress,
    ):
        file.seek(start)
        progress.update(start)
        while total is None or received < total:
            if max(total or 0, received) > room:
                what = f'is {total}' if total else 'has more than'
                raise DownloadError(
                    f'{url} {what} bytes, more than the limit of {max_bytes} or the '
                    f'room in {place}.'
                )
            block = answer.read1(BLOCK)
            if not block:
                break
            file.write(block)
            received += len(block)
            progress.update(len(block))
            seconds = time.monotonic() - begin
            if seconds > TIMEOUT and received - start < seconds * MIN_RATE:
                raise _BrokenOff(
                    f'{url} cannot be fetched: {received - start} bytes came in '
                    f'{seconds:.0f} s.'
                )
    if total is not None and received != total:
        raise _BrokenOff(
            f'{url} was cut short: {received} of {total} bytes came. Try again.'
        )
