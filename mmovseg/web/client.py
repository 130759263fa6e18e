"""Ask a server (``mmovseg serve``) for segments, from a script; no torch needed."""

from __future__ import annotations

import io
import json
import os
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from ..fileio import did_you_mean, write_atomic
from ..labels import FORMATS

if TYPE_CHECKING:
    import numpy as np

URL = 'http://127.0.0.1:7860'


class ServiceError(RuntimeError):
    """The server could not do what it was asked; the message says why.

    Attributes:
        status: Of HTTP; 0 if there was no answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class AnswerSegment:
    """A segment of a photo, as :class:`mmovseg.apis.Segment`.

    Attributes:
        id: Its number in the label map.
        label: Class index.
        name: Class name.
        isthing: Whether the class is a thing.
        score: 0 to 1; None for semantic results.
        area: Pixels.
        box: x, y, width, height.
        mask: The whole mask as COCO's compressed RLE; instances only.
    """

    id: int
    label: int
    name: str
    isthing: bool
    score: float | None
    area: int
    box: tuple[int, int, int, int]
    mask: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Answer:
    """What a server has found in a photo.

    Attributes:
        client: That asked.
        result: Key of the result on the server.
        photo: Key of the photo on the server; :meth:`Client.segment` takes it instead
            of the photo.
        image: Name of the photo.
        height: Of the photo, in pixels.
        width: The same.
        task: ``'panoptic'``, ``'instance'`` or ``'semantic'``.
        segments: Best score first where there are scores.
        notes: What the server has to say about the names.
    """

    client: Client
    result: str
    photo: str
    image: str
    height: int
    width: int
    task: str
    segments: tuple[AnswerSegment, ...]
    notes: tuple[str, ...] = ()

    def overlay(self) -> bytes:
        """Fetch the drawing, as PNG."""
        return self.client.fetch(f'/api/results/{self.result}/overlay.png')

    def label_map(self) -> np.ndarray:
        """Fetch the label map, ``[H, W]`` int32; see :class:`mmovseg.apis.Result`."""
        import numpy as np
        from PIL import Image

        data = self.client.fetch(f'/api/results/{self.result}/labels.png')
        values = np.asarray(Image.open(io.BytesIO(data), formats=['PNG']), np.int32)
        return values @ (1, 256, 65536) if values.ndim == 3 else values

    def save_labels(self, folder: str | Path, *formats: str) -> list[Path]:
        """Fetch label files that other tools read; see :mod:`mmovseg.labels`.

        Args:
            folder: The files go to ``FOLDER/FORMAT/``; files of these names are
                replaced.
            formats: Names of :data:`mmovseg.labels.FORMATS`.

        Returns:
            The folders of the formats.

        Raises:
            ServiceError: If a format is unknown or cannot have these classes.
        """
        for name in formats:
            if name not in FORMATS:
                raise ServiceError(
                    f'There is no format {name!r}.{did_you_mean(name, FORMATS)} '
                    f'Formats: {", ".join(FORMATS)}.'
                )
        folders = []
        for name in formats:
            address = f'/api/results/{self.result}/labels/{name}.zip'
            data = self.client.fetch(address)
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for member in archive.namelist():
                    path = PurePosixPath(member)
                    if path.is_absolute() or '..' in path.parts or '\\' in member:
                        raise ServiceError(f'The server sent a file named {member!r}.')
                    write_atomic(Path(folder, *path.parts), archive.read(member))
            folders.append(Path(folder, name))
        return folders


@dataclass(frozen=True)
class Client:
    """Ask a server for segments.

    Args:
        url: Address of the server.
        timeout: Seconds to wait for an answer.

    Example:
        >>> from mmovseg.web import Client
        >>> client = Client()
        >>> answer = client.segment('photo.jpg', 'cat, cup')  # doctest: +SKIP
        >>> [segment.name for segment in answer.segments]  # doctest: +SKIP
        ['cat', 'cup']
        >>> client.segment(answer, 'table')  # doctest: +SKIP
    """

    url: str = URL
    timeout: float = 300.0

    def describe(self) -> dict[str, Any]:
        """Fetch model, limits, formats and packaged lists of names.

        Raises:
            ServiceError: If there is no such server.
        """
        return json.loads(self.fetch('/api/info'))

    def segment(
        self,
        photo: str | Path | bytes | Answer,
        classes: str,
        *,
        task: str = 'panoptic',
        score_thr: float | None = None,
        min_area: float | None = None,
        name: str | None = None,
    ) -> Answer:
        """Segment a photo into classes given by name.

        Args:
            photo: A path, the content of a file, or an earlier answer, whose photo is
                not sent again.
            classes: Such as ``'cat; kitten, cup, stuff: table'``, or the name of a
                packaged list.
            task: ``'panoptic'``, ``'instance'`` or ``'semantic'``.
            score_thr: Least score; None takes 0.3 for instances, else 0.
            min_area: Least pixels of a segment, or below 1 least share of the photo;
                None takes what the server was started with.
            name: What files call the photo; None takes that of its file.

        Raises:
            ServiceError: If the server cannot do it; the message says why.
            OSError: If the photo cannot be read.
        """
        fields = dict(classes=classes, task=task)
        for key, value in dict(score_thr=score_thr, min_area=min_area).items():
            if value is not None:
                fields[key] = str(value)
        file = None
        if isinstance(photo, Answer):
            fields['photo_key'] = photo.photo
        elif isinstance(photo, bytes):
            file = name or 'photo', photo
        else:
            file = name or os.path.basename(photo), Path(photo).read_bytes()
        body, kind = encode_form(fields, file)
        found = json.loads(self.fetch('/api/segment', body, kind))
        segments = [
            AnswerSegment(**{**x, 'box': tuple(x['box'])})
            for x in found.pop('segments')
        ]
        notes = tuple(found.pop('notes'))
        return Answer(client=self, segments=tuple(segments), notes=notes, **found)

    def fetch(self, address: str, body: bytes | None = None, kind: str = '') -> bytes:
        """Send a request; return the content of the answer.

        Args:
            address: Below the server's.
            body: To send; None only fetches.
            kind: Of the body.

        Raises:
            ServiceError: If the server says no, or does not answer.
        """
        headers = {'Content-Type': kind} if body is not None else {}
        if not self.url.startswith(('http://', 'https://')):
            raise ServiceError(f'{self.url} is no address of a server, such as {URL}.')
        request = Request(self.url.rstrip('/') + address, body, headers)
        try:
            with urlopen(request, timeout=self.timeout) as answer:
                return answer.read()
        except HTTPError as error:
            raise ServiceError(_read_error(error), error.code) from error
        except (URLError, OSError) as error:
            reason = getattr(error, 'reason', None) or error
            raise ServiceError(
                f'No answer from {self.url}: {reason}. Is mmovseg serve running there?'
            ) from error


def encode_form(
    fields: Mapping[str, str], file: tuple[str, bytes] | None
) -> tuple[bytes, str]:
    """Encode a form as browsers do, ``multipart/form-data``.

    Args:
        fields: Texts by name.
        file: Name and content of the field ``photo``.

    Returns:
        The body, and its type.
    """
    mark = uuid.uuid4().hex.encode()
    parts = []
    for name, value in fields.items():
        head = f'Content-Disposition: form-data; name="{name}"\r\n\r\n'
        parts += [b'--', mark, b'\r\n', head.encode(), value.encode(), b'\r\n']
    if file is not None:
        name, content = file
        for sign, code in {'\\': '%5C', '"': '%22', '\r': '%0D', '\n': '%0A'}.items():
            name = name.replace(sign, code)
        head = f'Content-Disposition: form-data; name="photo"; filename="{name}"\r\n'
        head += 'Content-Type: application/octet-stream\r\n\r\n'
        parts += [b'--', mark, b'\r\n', head.encode(), content, b'\r\n']
    parts += [b'--', mark, b'--\r\n']
    return b''.join(parts), f'multipart/form-data; boundary={mark.decode()}'


def _read_error(error: HTTPError) -> str:
    """Return the sentence of an answer that says no."""
    text = error.read(1 << 16).decode(errors='replace')
    try:
        return str(json.loads(text)['error'])
    except (ValueError, KeyError, TypeError):
        return f'The server answered {error.code} {error.reason}: {text[:200]}'
