"""The folder of the results: tried out first, and nothing in it is lost."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..fileio import printable
from .images import write_png
from .results import Result

# What follows the name of a photo in the names of its files; the drawing comes first.
ENDINGS = ('_overlay.png', '_labels.png', '_heatmaps.png', '.json')
SOURCE = 'mmovseg-source'  # text in a drawing: a hash of the path of its photo
PROBE_BYTES = 1 << 16


class OutputError(OSError):
    """Results cannot be written; the message names the folder and says why."""


class OutputFolder:
    """A folder for the files of results.

    It is made and tried out before the first photo is computed. Left as a context, it
    deletes the folders that it has made if they are still empty.

    Files that are there stay. A photo whose name is taken gets the next free number.
    Only the drawing of a photo file gives way to a new one of the same photo file.

    Args:
        folder: Where the files go.
        endings: What follows the name of a photo in the names of its files. The first
            one is the drawing, a PNG with :func:`describe_source` as its text.

    Raises:
        OutputError: If the folder cannot be made, or no file can be written there.
    """

    def __init__(
        self, folder: str | PathLike[str], endings: Sequence[str] = ENDINGS
    ) -> None:
        self.path = Path(folder)
        self.endings = tuple(endings)
        self._made = [
            x for x in (self.path, *self.path.parents) if not os.path.lexists(x)
        ]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._try_out()
        except OSError as error:
            self._remove_empty()
            raise self.explain(error) from error

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, *_: Any) -> None:
        self._remove_empty()

    def _try_out(self) -> None:
        probe = self.path / f'.{os.getpid()}-{threading.get_ident()}.part'
        try:
            with open(probe, 'wb') as file:
                file.write(bytes(PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())  # some disks tell only here that they are full
        finally:
            probe.unlink(missing_ok=True)

    def _remove_empty(self) -> None:
        for path in self._made:
            try:
                path.rmdir()
            except OSError:  # not empty, or never made
                return

    def explain(self, error: OSError) -> OutputError:
        """Return the error to raise when a file cannot be written."""
        reason: Any = error.strerror or error
        if not os.path.lexists(self.path):
            gone = isinstance(error, FileNotFoundError)
            reason = 'it has been removed' if gone else reason
        elif not self.path.is_dir():
            reason = 'it is no folder'
        name = printable(self.path)
        return OutputError(f'Results cannot be written to the folder {name}: {reason}.')

    def check_sources(self, sources: Sequence[Any]) -> None:
        """Refuse to put results among the photos.

        Args:
            sources: Paths of photos or folders, arrays or Pillow images.

        Raises:
            OutputError: If a photo lies in this very folder. The next run would take
                the drawings for photos.
        """
        paths = [path for path in map(_find_path, sources) if path is not None]
        parents = {x if os.path.isdir(x) else os.path.dirname(x) for x in paths}
        for parent in parents:
            if os.path.isdir(parent) and os.path.samefile(parent, self.path):
                folder = printable(self.path)
                raise OutputError(
                    f'Results cannot be written to the folder {folder}: the photos are '
                    'in it, and the next run would take the drawings for photos. '
                    f'Choose another one, such as {printable(self.path / "outputs")}.'
                )

    def choose_names(self, sources: Sequence[Any], names: Sequence[str]) -> list[str]:
        """Choose names whose files replace nothing.

        Args:
            sources: Paths, arrays or Pillow images.
            names: What their files would be called in an empty folder, all different.

        Returns:
            Names that the file system can take, all different.
        """
        there = set()
        for name in os.listdir(self.path):
            folded = _fold(name)
            there |= {
                folded.removesuffix(x) for x in self.endings if folded.endswith(x)
            }
        taken: set[str] = set()
        chosen = []
        first = 0
        for source, wanted in zip(sources, names, strict=True):
            for name in _count_on(self._shorten(wanted), source, first):
                folded = _fold(name)
                if folded in taken:
                    continue
                if folded not in there or self._shows(name, source):
                    break
            if _find_path(source) is None:
                first = int(name.rpartition('_')[2]) + 1  # so that many are quick
            taken.add(folded)
            chosen.append(name)
        return chosen

    @contextmanager
    def claim(self, name: str, source: Any) -> Iterator[str]:
        """Give a name to write files with, or the next free one.

        Other threads and processes that write here never get the same one.

        Args:
            name: From :meth:`choose_names`.
            source: The photo.

        Raises:
            OutputError: If the folder is gone, or a file cannot be written.
        """
        claimed = None
        try:
            if not self.path.is_dir():
                raise FileNotFoundError
            for other in _count_on(self._shorten(name), source):
                drawing = self.path / f'{other}{self.endings[0]}'
                if self._shows(other, source):
                    break
                try:
                    open(drawing, 'x').close()
                except FileExistsError:
                    continue
                claimed = drawing
                break
            yield other
        except OSError as error:
            raise self.explain(error) from error
        finally:
            if claimed is not None and _is_empty(claimed):
                claimed.unlink(missing_ok=True)  # there was an error before

    def save(
        self,
        name: str,
        source: Any,
        image: np.ndarray,
        result: Result,
        heatmaps: np.ndarray | None = None,
        text: Mapping[str, str] | None = None,
    ) -> str:
        """Write what was found in a photo, under a name that :meth:`claim` gives.

        Args:
            name: From :meth:`choose_names`.
            source: The photo.
            image: The photo, RGB.
            result: What was found.
            heatmaps: Their drawing, RGB. None deletes that of an earlier run.
            text: What the drawing says about itself besides its photo.

        Returns:
            The name that the files have.

        Raises:
            OutputError: If the folder is gone, or a file cannot be written.
        """
        with self.claim(name, source) as free:
            about = {**(text or {}), **describe_source(source)}
            result.save(self.path, free, image, about)
            path = self.path / f'{free}_heatmaps.png'
            if heatmaps is not None:
                write_png(path, heatmaps)
            else:
                path.unlink(missing_ok=True)
        return free

    def _shorten(self, name: str) -> str:
        """Cut a name so that a number and every ending fit behind it."""
        room = _name_limit(self.path) - max(map(len, self.endings)) - 8
        return name.encode()[: max(room, 16)].decode(errors='ignore')

    def _shows(self, name: str, source: Any) -> bool:
        """Whether the drawing of a name is one of this photo file."""
        mark = describe_source(source)
        try:
            with Image.open(self.path / f'{name}{self.endings[0]}', 'r', ['PNG']) as x:
                return bool(mark) and mark.items() <= x.info.items()
        except (OSError, ValueError, SyntaxError):  # there is none, or it is damaged
            return False


def open_folder(
    out_dir: str | PathLike[str], sources: Sequence[Any]
) -> AbstractContextManager[OutputFolder | None]:
    """Open the folder for the results of photos.

    Args:
        out_dir: Where the files go; an empty string means that none are written.
        sources: Paths, arrays or Pillow images.

    Raises:
        OutputError: If no file can be written there, or the photos are in it.
    """
    if not os.fspath(out_dir):
        return nullcontext()
    folder = OutputFolder(out_dir)
    folder.check_sources(sources)
    return folder


def describe_source(source: Any) -> dict[str, str]:
    """Return what a drawing tells about its photo: a hash of the path of a file."""
    path = _find_path(source)
    if path is None:
        return {}
    return {SOURCE: hashlib.sha256(os.fsencode(path)).hexdigest()}


def make_names(sources: Sequence[Any], folder: OutputFolder | None = None) -> list[str]:
    """Name the files of each photo; no two alike, whatever their folders.

    Args:
        sources: Paths, arrays or Pillow images.
        folder: Where the files go; names of others that are there are not taken.
    """
    names: list[str] = []
    taken: set[str] = set()
    for index, source in enumerate(sources):
        name = f'image_{index}'
        if isinstance(source, (str, PathLike)):
            name = printable(Path(os.fsdecode(source)).stem, '_') or name
        unique = next(x for x in _count_on(name, source) if _fold(x) not in taken)
        taken.add(_fold(unique))
        names.append(unique)
    return names if folder is None else folder.choose_names(sources, names)


def _find_path(source: Any) -> str | None:
    """Return the absolute path or URL of a photo; None for a photo in memory."""
    if not isinstance(source, (str, PathLike)):
        return None
    path = os.fsdecode(source)
    return path if '://' in path else os.path.abspath(path)


def _count_on(name: str, source: Any, first: int = 0) -> Iterator[str]:
    """Give a name and, should it be taken, others with a number."""
    if isinstance(source, (str, PathLike)):
        yield name
        start, first = name, 2
    else:
        start, _, number = name.rpartition('_')
        first = max(first, int(number))
    for value in itertools.count(first):
        yield f'{start}_{value}'


def _fold(name: str) -> str:
    """Make names equal that some file systems take for the same."""
    return unicodedata.normalize('NFC', name).casefold()


def _name_limit(folder: Path) -> int:
    try:
        return os.pathconf(folder, 'PC_NAME_MAX')
    except (AttributeError, OSError, ValueError):  # not on every system
        return 255


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False
