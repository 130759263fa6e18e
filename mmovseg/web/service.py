"""What the page and the REST interface do, whatever asks for it."""

from __future__ import annotations

import hashlib
import io
import tempfile
import threading
import warnings
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from ..apis import EncodedPhoto, ImageError, OVSegInferencer, Result
from ..apis.results import TASKS, check_limits
from ..fileio import did_you_mean, printable
from ..formats.image_file import decode_photo, open_image
from ..labels import FORMATS, check_formats, write_labels
from ..labels.photo_labels import PhotoLabels
from ..version import __version__
from ..vocabulary import Vocabulary
from .limits import Limits
from .picture import draw_screen, encode_png, fit_screen, number_segments
from .store import Store
from .work_queue import WorkQueue

EXAMPLE = 'cat; kitten, cup, stuff: table'
MAX_NAME = 100  # characters of a file name
CHARACTERS_PER_NAME = 100


class RequestError(ValueError):
    """Something that was asked for and cannot be had; the message is for people.

    Args:
        message: One or two sentences.
        status: Of HTTP.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class StoredPhoto:
    """A photo that other names can be asked of.

    Attributes:
        key: Hash of the file and of its name.
        file_name: Its name, without folders.
        data: The file.
        encoded: The photo as the model has it.
    """

    key: str
    file_name: str
    data: bytes
    encoded: EncodedPhoto

    @property
    def pixels(self) -> int:
        """Height times width."""
        return int(np.prod(self.encoded.photo.bgr.shape[:2]))


@dataclass(frozen=True)
class StoredResult:
    """A result whose files can be fetched.

    Attributes:
        key: Hash of all that it depends on.
        photo: The photo.
        result: What the model found.
        vocabulary: The classes.
        notes: What the reader of names has to say.
    """

    key: str
    photo: StoredPhoto
    result: Result
    vocabulary: Vocabulary
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: those of :meth:`Result.to_dict` and two keys."""
        return dict(
            self.result.to_dict(self.photo.file_name),
            result=self.key,
            photo=self.photo.key,
            notes=list(self.notes),
        )


class Service:
    """Segment photos for people and scripts, with limits and one queue.

    Photos and results are kept in memory, the newest ones only, and in no file.

    Args:
        inferencer: The model. It is not changed, so others may use it as well.
        limits: What one call may ask for.
        min_area: Segments that are smaller are dropped; see :func:`read_result`.
        name: What the model is called.
        license: Of its weights; empty if it is not known.
    """

    def __init__(
        self,
        inferencer: OVSegInferencer,
        limits: Limits | None = None,
        *,
        min_area: float = 0.0,
        name: str = '',
        license: str = '',
    ) -> None:
        self.inferencer, self.limits = inferencer, limits or Limits()
        self.name, self.license, self.min_area = name, license, min_area
        self._queue = WorkQueue(self.limits.places, self.limits.timeout)
        self._photos: Store[StoredPhoto] = Store(4, 2 * self.limits.max_pixels)
        self._results: Store[StoredResult] = Store(32, 2 * self.limits.max_pixels)
        self._reading = threading.Lock()  # warnings are those of the whole process
        self._writing = threading.Lock()  # one archive in memory at a time

    def describe(self) -> dict[str, Any]:
        """Return what a script may want to know first."""
        device = next(self.inferencer.model.parameters()).device
        return dict(
            mmovseg=__version__,
            model=self.name,
            license=self.license,
            device=str(device),
            tasks=list(TASKS),
            min_area=self.min_area,
            formats={name: form.title for name, form in FORMATS.items()},
            vocabularies=list(Vocabulary.available()),
            limits=dict(
                max_pixels=self.limits.max_pixels,
                max_bytes=self.limits.max_bytes,
                max_names=self.limits.max_names,
                timeout=self.limits.timeout,
            ),
        )

    def segment(
        self,
        classes: str,
        *,
        data: bytes | None = None,
        file_name: str = '',
        photo: str = '',
        task: str = 'panoptic',
        score_thr: float | None = None,
        min_area: float | None = None,
    ) -> StoredResult:
        """Segment a photo, when it is its turn.

        Args:
            classes: Names as on the command line, or a packaged list; never a file.
            data: The file of the photo. None takes one that was sent before.
            file_name: Its name.
            photo: ``key`` of a photo that was sent before.
            task: ``'panoptic'``, ``'instance'`` or ``'semantic'``.
            score_thr: Least score; None as in :func:`read_result`.
            min_area: Least size of a segment; None takes that of the service.

        Raises:
            RequestError: If something cannot be used.
            BusyError: If too many others wait.
            TooSlowError: If it takes too long.
        """
        if task not in TASKS:
            raise RequestError(f'task must be one of {", ".join(TASKS)}, got {task!r}.')
        min_area = self.min_area if min_area is None else min_area
        try:
            check_limits(min_area, score_thr)
        except ValueError as error:
            raise RequestError(str(error)) from error
        vocabulary, notes = self.read_classes(classes)
        if data is not None:
            file_name = clean_name(file_name)
            photo = _hash(file_name.encode(), b'\0', data)
        elif not photo:
            raise RequestError('There is no photo: choose one first.')
        known = self._photos.get(photo)
        if known is None:
            if data is None:
                raise RequestError(
                    'This photo is not kept any more: send it again.', status=404
                )
            self._check_photo(file_name, data)

        def work() -> StoredResult:
            stored = known or self._encode(photo, file_name, data or b'')
            key = _hash(
                stored.key.encode(),
                vocabulary.fingerprint.encode(),
                f'{task} {score_thr} {min_area}'.encode(),
            )
            done = self._results.get(key)
            if done is not None:
                return replace(done, notes=notes)
            result = self.inferencer.segment(
                stored.encoded,
                vocabulary,
                task=task,
                score_thr=score_thr,
                min_area=min_area,
            )
            done = StoredResult(key, stored, result, vocabulary, notes)
            self._results.put(key, done, stored.pixels)
            return done

        try:
            return self._queue.run(work)
        except ImageError as error:
            raise RequestError(str(error)) from error

    def read_classes(self, text: str) -> tuple[Vocabulary, tuple[str, ...]]:
        """Read names that a stranger has typed; return the classes and notes.

        Raises:
            RequestError: If there are none or too many, or one cannot be used.
        """
        text = text.strip()
        if not text:
            raise RequestError(f'Name at least one class, such as "{EXAMPLE}".')
        most = self.limits.max_names
        if len(text) > CHARACTERS_PER_NAME * most:
            raise RequestError(
                f'The names have {len(text):,} characters, and there can be '
                f'{CHARACTERS_PER_NAME * most:,} at most.'
            )
        # These would be read on this machine.
        if text.lower().endswith(('.txt', '.zip')):
            raise RequestError(
                f'{text[:MAX_NAME]!r} looks like a file, and no files of names are '
                'read here. Type the names.'
            )
        try:
            with self._reading, warnings.catch_warnings(record=True) as told:
                warnings.simplefilter('always')
                vocabulary = Vocabulary.from_string(text)
        except ValueError as error:
            raise RequestError(str(error)) from error
        count = len(vocabulary.all_names)
        if count > most:
            raise RequestError(
                f'There are {count:,} names, and there can be {most:,} at most. Leave '
                'some out, or start mmovseg serve with a larger --max-names.'
            )
        return vocabulary, tuple(str(x.message) for x in told)

    def get_result(self, key: str) -> StoredResult:
        """Return a result that was made before.

        Raises:
            RequestError: If it is not kept.
        """
        done = self._results.get(key)
        if done is None:
            raise RequestError(
                'This result is not kept any more: segment the photo again.', status=404
            )
        return done

    def write_labels(self, key: str, form: str) -> bytes:
        """Return a zip of the label files of a result; the same labels, same bytes.

        Args:
            key: Of the result.
            form: A name of :data:`mmovseg.labels.FORMATS`.

        Raises:
            RequestError: If there is no such format, or it cannot have these classes.
        """
        done = self.get_result(key)
        if form not in FORMATS:
            raise RequestError(
                f'There is no format {form!r}.{did_you_mean(form, FORMATS)} Formats: '
                f'{", ".join(FORMATS)}.',
                status=404,
            )
        with self._writing, tempfile.TemporaryDirectory() as scratch:
            source = None
            if form == 'yolo':  # which wants the photo next to the labels
                source = Path(scratch, 'photo')
                source.write_bytes(done.photo.data)
            labels = PhotoLabels.from_result(done.result, done.photo.file_name, source)
            try:
                [folder] = write_labels(
                    [form], [labels], done.vocabulary, Path(scratch, 'labels')
                )
            except ValueError as error:
                raise RequestError(str(error)) from error
            return _zip(folder)

    def find_problem(self, done: StoredResult, form: str) -> str:
        """Say why a format cannot have the classes of a result; empty if it can."""
        try:
            check_formats([form], done.vocabulary)
        except ValueError as error:
            return str(error)
        return ''

    def draw(self, key: str) -> bytes:
        """Return the drawing of a result with a legend, as PNG."""
        done = self.get_result(key)
        with self._writing:
            return encode_png(done.result.overlay())

    def draw_picture(self, key: str) -> bytes:
        """Return the drawing of a result for the screen, without legend, as PNG."""
        done = self.get_result(key)
        with self._writing:
            return encode_png(draw_screen(done.result))

    def draw_numbers(self, key: str) -> bytes:
        """Return where each segment is; see :func:`number_segments`. As PNG."""
        done = self.get_result(key)
        with self._writing:
            return encode_png(number_segments(fit_screen(done.result)))

    def draw_labels(self, key: str) -> bytes:
        """Return the label map of a result, as :meth:`Result.save` writes it."""
        done = self.get_result(key)
        with self._writing:
            return encode_png(done.result.encode_labels())

    def close(self) -> None:
        """Drop the work that has not started."""
        self._queue.close()

    def _encode(self, key: str, file_name: str, data: bytes) -> StoredPhoto:
        """Read a photo and encode it; keep it."""
        encoded = self.inferencer.encode(
            decode_photo(data, file_name), Path(file_name).stem
        )
        stored = StoredPhoto(key, file_name, data, encoded)
        self._photos.put(key, stored, stored.pixels)
        return stored

    def _check_photo(self, file_name: str, data: bytes) -> None:
        """Refuse a photo that is too large before it is decoded."""
        if len(data) > self.limits.max_bytes:
            raise RequestError(
                f'{file_name} has {len(data) / 1e6:.0f} megabytes, and there can be '
                f'{self.limits.max_bytes / 1e6:g} at most. Make it smaller.',
                status=413,
            )
        most = self.limits.max_pixels
        size = 'far too many pixels'
        try:
            width, height = open_image(data, file_name).size
            pixels = width * height
            size = f'{pixels / 1e6:.0f} million pixels ({width} x {height})'
        except ImageError as error:
            if not isinstance(error.__cause__, Image.DecompressionBombError):
                raise RequestError(str(error)) from error
            pixels = most + 1  # so many that Pillow does not open it
        if pixels > most:
            raise RequestError(
                f'{file_name} has {size}, and there can be {most / 1e6:g} million at '
                'most. Make it smaller, or use mmovseg predict --tile 1024.',
                status=413,
            )


def clean_name(name: str) -> str:
    """Return the name of a file without folders and odd characters.

    Example:
        >>> clean_name('../my photo.jpg'), clean_name('')
        ('my photo.jpg', 'photo')
    """
    name = printable(PureWindowsPath(name).name, '_').strip('. ')
    stem, dot, ending = name.rpartition('.')
    if len(name) > MAX_NAME:
        name = (stem or name)[: MAX_NAME - 10] + (dot + ending)[:10]
    return name or 'photo'


def _zip(folder: Path) -> bytes:
    """Pack a folder; links become what they point to, times are left out."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        for path in sorted(folder.rglob('*')):
            if path.is_file():
                name = path.relative_to(folder.parent).as_posix()
                info = zipfile.ZipInfo(name)  # of 1980
                info.external_attr = 0o644 << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, path.read_bytes())
    return buffer.getvalue()


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:32]
