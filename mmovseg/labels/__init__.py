"""Label files that other tools read; one module per format."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from ..fileio import did_you_mean
from ..vocabulary import Vocabulary
from .names import FORMATS, Format, check_names

__all__ = ['FORMATS', 'Format', 'check_formats', 'write_labels']


def check_formats(
    formats: Iterable[str], vocabulary: Vocabulary, file_names: Sequence[str] = ()
) -> None:
    """Find out before the work whether labels can be written.

    Args:
        formats: Names of :data:`FORMATS`.
        vocabulary: The classes.
        file_names: Names of the photos, if they are known, as in
            :class:`~mmovseg.labels.photo_labels.PhotoLabels`.

    Raises:
        ValueError: If a format is unknown, cannot have these classes, or needs a
            package that is not installed; the message has the line that installs it.
            Or if two photos would share a file.
    """
    for name in formats:
        if name not in FORMATS:
            raise ValueError(
                f'There is no format {name!r}.{did_you_mean(name, FORMATS)} '
                f'Formats: {", ".join(FORMATS)}.'
            )
        check = getattr(_load(name), 'check', None)
        if check is not None:
            check(vocabulary)
        if FORMATS[name].per_photo:
            check_names(file_names)


def write_labels(
    formats: Iterable[str],
    photos: Iterable,
    vocabulary: Vocabulary,
    folder: str | Path,
    *,
    made_by: str = 'mmovseg',
) -> list[Path]:
    """Write the labels of photos, a folder per format; the same labels, the same bytes.

    Args:
        formats: Names of :data:`FORMATS`.
        photos: :class:`~mmovseg.labels.photo_labels.PhotoLabels`. They are gone through
            several times, so take a list, or an object that reads them anew.
        vocabulary: The classes; labels of the segments are numbers of these.
        folder: The files go to ``FOLDER/FORMAT/``. Files of these names are replaced.
        made_by: What the files say about the model.

    Returns:
        The folders, in the order of the formats.

    Raises:
        ValueError: As :func:`check_formats`, or if a photo has more objects than a
            format has numbers, or two photos would share a file.
        OSError: If a file cannot be written.
    """
    formats = list(formats)
    check_formats(formats, vocabulary)
    if any(FORMATS[name].per_photo for name in formats):
        check_names(photo.file_name for photo in photos)
    folders = []
    for name in formats:
        place = Path(folder) / name
        getattr(_load(name), FORMATS[name].function)(photos, vocabulary, place, made_by)
        folders.append(place)
    return folders


def _load(name: str) -> ModuleType:
    return importlib.import_module(f'.{FORMATS[name].module}', __name__)
