"""Label many photos: work that may be stopped, split, and gone on with.

What is found in a photo is a record, in a separate file. Label files are made from all
records, in the order of the photos' names. They are therefore the same however the work
was split, and other formats or thresholds need no new work.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from .. import tar_files
from ..fileio import did_you_mean, printable, write_atomic
from ..labels import FORMATS, check_formats, write_labels
from ..labels.photo_labels import PhotoLabels
from ..version import __version__
from ..vocabulary import Vocabulary, name_key
from .output_folder import OutputError, OutputFolder
from .photo_list import RECORDS, RUN, ListedPhoto
from .results import SCORE_THR, Result, check_limits, least_pixels

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FAILED, LOCK = 'failed.json', '.lock'
# Instances below this are not kept, as in COCO's results: there are very many.
LEAST_SCORE = dict(SCORE_THR, instance=0.05)


class Shard(NamedTuple):
    """A part of the photos: numbers ``first``, ``first + step``, ... from 0."""

    first: int = 0
    step: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``3/16``, the third of sixteen parts.

        ``auto`` asks Slurm (job arrays, tasks) or torchrun which part this process has.

        Raises:
            ValueError: If it is no such text.
        """
        if text == 'auto':
            return cls._ask()
        first, _, last = text.partition('/')
        if not (
            first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)
        ):
            raise ValueError(f'A shard is N/ALL, such as 3/16, or auto, got {text!r}.')
        return cls(int(first) - 1, int(last))

    @classmethod
    def _ask(cls) -> Shard:
        for index, count, start in _PLACES:
            if index in os.environ and count in os.environ:
                first = int(os.environ.get(start, 0))
                step = int(os.environ.get('SLURM_ARRAY_TASK_STEP', 1)) if start else 1
                number = (int(os.environ[index]) - first) // step
                return cls(number, int(os.environ[count]))
        names = ', '.join(name for name, *_ in _PLACES)
        raise ValueError(f'shard auto needs a variable of Slurm or torchrun: {names}.')

    def take(self, photos: Sequence[ListedPhoto]) -> list[ListedPhoto]:
        """Return the photos of this part."""
        return list(photos[self.first :: self.step])


# Number of a process, how many there are, and the first number.
_PLACES = (
    ('SLURM_ARRAY_TASK_ID', 'SLURM_ARRAY_TASK_COUNT', 'SLURM_ARRAY_TASK_MIN'),
    ('RANK', 'WORLD_SIZE', ''),
    ('SLURM_PROCID', 'SLURM_NTASKS', ''),
)


@dataclass(frozen=True)
class LabelChoice:
    """What of the records becomes a label.

    Attributes:
        vocabulary: The classes to keep, the first ones of those of the model.
        score_thr: Least score.
        thresholds: Least score of single classes, by name.
        min_area: Least pixels, or below 1 the least share of the photo.
    """

    vocabulary: Vocabulary
    score_thr: float = 0.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    min_area: float = 0.0

    def __post_init__(self) -> None:
        check_limits(self.min_area)
        for name, value in {'score_thr': self.score_thr, **self.thresholds}.items():
            if not 0 <= value <= 1:
                raise ValueError(f'A threshold is from 0 to 1, got {value} ({name}).')
        keys = {name_key(name): name for name in self.vocabulary.names}
        for name in self.thresholds:
            if name_key(name) not in keys:
                hint = did_you_mean(name, self.vocabulary.names)
                raise ValueError(f'A threshold is for {name!r}, no class.{hint}')

    def keep(self, labels: PhotoLabels) -> PhotoLabels:
        """Return the segments of a photo that become labels."""
        least = least_pixels(self.min_area, labels.height, labels.width)
        return labels.keep(lambda x: x['area'] >= least and self.wants(x))

    def wants(self, segment: Mapping[str, Any]) -> bool:
        """Whether a segment of any size becomes a label."""
        if segment['label'] >= len(self.vocabulary):
            return False  # predicted and dropped
        least = self._by_key.get(name_key(segment['name']), self.score_thr)
        return segment['score'] is None or segment['score'] >= least

    @property
    def _by_key(self) -> dict[str, float]:
        return {name_key(name): value for name, value in self.thresholds.items()}


class LabelRun:
    """A folder of records, and of the label files that are made from them.

    Args:
        folder: Made if missing.
        photos: All photos of the work, whatever part of it this process does.
        about: What the records depend on: model, weights, classes, task. Records of
            another work are refused. None takes what is there.

    Raises:
        OutputError: If the folder cannot be written, holds another work or files of
            others where labels go, or the photos are below it.
    """

    def __init__(
        self,
        folder: str | Path,
        photos: Sequence[ListedPhoto],
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.photos = Path(folder), list(photos)
        self._started = time.time()
        place = Path(os.path.realpath(folder))
        for photo in self.photos:
            if place in Path(os.path.realpath(photo.path)).parents:
                raise OutputError(
                    f'Labels cannot be written to {printable(self.folder)}: '
                    f'{printable(photo.path)} is below it. Choose another folder.'
                )
        OutputFolder(folder)  # tries it out
        self.about = self._check_run(about)

    def _check_run(self, about: Mapping[str, Any] | None) -> dict[str, Any]:
        path = self.folder / RUN
        # Before the file is looked for: it is older than any label.
        taken = sorted({RECORDS, FAILED, *FORMATS} & set(os.listdir(self.folder)))
        try:
            there = json.loads(path.read_bytes())
        except FileNotFoundError:
            if about is None:
                raise OutputError(
                    f'{printable(self.folder)} holds no labels: there is no {RUN}.'
                ) from None
            if taken:
                raise OutputError(
                    f'{printable(self.folder / taken[0])} is there, but not from this '
                    'command, and would be replaced: take another folder.'
                ) from None
            text = json.dumps(about, indent=1, ensure_ascii=False)
            write_atomic(path, f'{text}\n')
            return dict(about)
        except ValueError as error:
            raise OutputError(
                f'{printable(path)} is damaged: take another folder.'
            ) from error
        about = there if about is None else about
        differ = [key for key in about if there.get(key) != about[key]]
        if differ:
            raise OutputError(
                f'{printable(self.folder)} holds the labels of another run, with other '
                f'{", ".join(differ)} ({RUN}): take another folder or remove it.'
            )
        return dict(about)

    def find_open(self, shard: Shard) -> list[ListedPhoto]:
        """Return the photos of a part that have no record, or have changed since."""
        return self.select_open(shard.take(self.photos))

    def select_open(self, photos: Sequence[ListedPhoto]) -> list[ListedPhoto]:
        """Return those of some photos that have no record, or have changed since."""
        return [x for x in photos if not self._is_done(x)]

    def work(
        self,
        photos: Sequence[ListedPhoto],
        for_each: Callable[..., list[dict[str, str]]],
    ) -> None:
        """Make the records of photos; each is written as soon as it is there.

        Args:
            photos: From :meth:`find_open`.
            for_each: :meth:`OVSegInferencer.for_each`, with its options.
        """

        def handle(index: int, result: Result) -> None:
            photo = photos[index]
            labels = PhotoLabels.from_result(result, photo.name)
            self._write(photo, labels.to_dict())

        for photo in photos:
            if printable(photo.name) != photo.name:
                message = (
                    f'{printable(photo.name)} has characters that label files cannot '
                    'have: rename it.'
                )
                self._write(photo, dict(photo=printable(photo.name), error=message))
        photos = [photo for photo in photos if printable(photo.name) == photo.name]
        errors = for_each([photo.path for photo in photos], handle)
        by_path = {os.fsdecode(photo.path): photo for photo in photos}
        for error in errors:
            photo = by_path[error['input']]
            self._write(photo, dict(photo=photo.name, error=error['message']))

    def read_failed(self) -> dict[str, str]:
        """Return why photos could not be used, by their names."""
        failed = {}
        for photo in self.photos:
            record = self._read(photo)
            if record is not None and 'error' in record:
                failed[printable(photo.name)] = record['error']
        return failed

    def write_labels(self, formats: Sequence[str], choice: LabelChoice) -> list[Path]:
        """Make label files from the records; all photos must have one.

        Args:
            formats: Names of :data:`mmovseg.labels.FORMATS`.
            choice: What becomes a label.

        Returns:
            The folders of the formats.

        Raises:
            OutputError: If a label file was changed since it was written.
            ValueError: As :func:`mmovseg.labels.write_labels`.
        """
        check_formats(formats, choice.vocabulary)
        photos = _RecordedPhotos(self, choice)
        made_by = f'mmovseg {__version__}, {self.about["model"]}'
        with _locked(self.folder / LOCK):  # the last two parts may end together
            check_unchanged(self.folder, formats)
            # Written last: without it the files are of a run that was stopped.
            (self.folder / FAILED).unlink(missing_ok=True)
            for name in formats:  # files of photos that are no longer there
                shutil.rmtree(self.folder / name, ignore_errors=True)
            folders = write_labels(
                formats, photos, choice.vocabulary, self.folder, made_by=made_by
            )
            text = json.dumps(self.read_failed(), indent=1, ensure_ascii=False)
            write_atomic(self.folder / FAILED, f'{text}\n')
            self._clean()
        return folders

    def _clean(self) -> None:
        """Delete the halves of records that killed processes have left."""
        for path in (self.folder / RECORDS).rglob('.*.part'):
            with suppress(FileNotFoundError):  # written just now by another part
                if path.stat().st_mtime < self._started:
                    path.unlink()

    def count_open(self) -> int:
        """Return how many photos have no record at all, of all parts."""
        return sum(not self._place(photo).is_file() for photo in self.photos)

    def _place(self, photo: ListedPhoto) -> Path:
        return self.folder / RECORDS / f'{photo.name}.json'

    def _read(self, photo: ListedPhoto) -> dict[str, Any] | None:
        try:
            return json.loads(self._place(photo).read_bytes())
        except (FileNotFoundError, ValueError):  # not yet, or damaged: made anew
            return None

    def _is_done(self, photo: ListedPhoto) -> bool:
        record = self._read(photo)
        if record is None or 'error' in record:
            return False
        stamp = _stamp(photo.path)
        return record['stamp'] == stamp or record['sha256'] == _hash(photo.path)

    def _write(self, photo: ListedPhoto, content: dict[str, Any]) -> None:
        if 'error' not in content:
            content['stamp'] = _stamp(photo.path)
            content['sha256'] = _hash(photo.path)
        text = json.dumps(content, ensure_ascii=False)
        write_atomic(self._place(photo), text)


class _RecordedPhotos:
    """The labels of all photos that could be used, read anew each time."""

    def __init__(self, run: LabelRun, choice: LabelChoice) -> None:
        self.run, self.choice = run, choice

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[PhotoLabels]:
        for photo in self.run.photos:
            record = self.run._read(photo)
            if record is None:
                raise OutputError(
                    f'The record of {printable(photo.path)} is missing or damaged: run '
                    'the same command again.'
                )
            if 'error' not in record:
                labels = PhotoLabels.from_dict(record, photo.path)
                yield self.choice.keep(labels)


def check_unchanged(folder: str | Path, formats: Iterable[str]) -> None:
    """Check that nobody has corrected label files that would be written anew.

    Args:
        folder: Of a :class:`LabelRun`; may be missing.
        formats: Names of :data:`mmovseg.labels.FORMATS`.

    Raises:
        OutputError: If a file is newer than the end of the run that wrote it.
    """
    folder = Path(folder)
    try:
        end = (folder / FAILED).stat().st_mtime_ns
    except FileNotFoundError:
        return
    for name in formats:
        for path in (folder / name).rglob('*'):
            # Not what programs leave for themselves, as YOLO does.
            if path.name.startswith('.') or path.suffix == '.cache' or path.is_dir():
                continue
            if path.lstat().st_mtime_ns > end:
                raise OutputError(
                    f'{printable(path)} was changed after it was written, and would be '
                    f'written anew: move {printable(folder / name)} away first.'
                )


def hash_weights(model: nn.Module) -> str:
    """Return a SHA-256 of all weights of a model."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy())
    return digest.hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep others out, where the system and the disk have locks."""
    with open(path, 'w') as file:
        if fcntl is not None:
            with suppress(OSError):
                fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def _stamp(path: Path) -> list[int] | None:
    try:
        return tar_files.stamp(path)
    except (OSError, ValueError):
        return None


def _hash(path: Path) -> str | None:
    try:
        return hashlib.sha256(tar_files.read_bytes(path)).hexdigest()
    except (OSError, ValueError):
        return None
