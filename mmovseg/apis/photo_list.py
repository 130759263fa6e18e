"""The photos of a long work: from folders, tar files, lists and COCO's JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import tar_files
from ..fileio import printable
from .images import EXTENSIONS, ImageError

RECORDS, RUN = 'records', 'run.json'  # in a folder of labels


class ListedPhoto(NamedTuple):
    """A photo to work on.

    Attributes:
        name: Its path with ``/``, from the folder of all photos; no two are alike.
        path: Where it is.
    """

    name: str
    path: Path


def list_photos(
    inputs: Sequence[str | Path], root: str | Path | None = None
) -> list[ListedPhoto]:
    """List photos by name, in the order of their names.

    Args:
        inputs: Photos; folders, with all that is below them; text files (``.txt``) with
            the path of a photo per line; JSON files of COCO's kind, with ``images``;
            and tar files, such as the shards of a WebDataset, or folders of nothing but
            these. Paths in files start from the folder of the file.
        root: The folder that names start from, and paths in files. None takes the one
            folder that is given, else the one that holds all photos.

    Raises:
        FileNotFoundError: If an input does not exist.
        ImageError: If there is no photo, a folder or a file cannot be used, or a photo
            lies outside of ``root``.
    """
    paths: list[Path] = []
    for item in map(Path, inputs):
        if not item.exists():
            raise FileNotFoundError(f'There is no {printable(item)}.')
        base = item.parent if root is None else Path(root)
        if item.is_dir():
            found = _walk(item) or _walk_tars(item)
            if not found:
                endings = ', '.join(sorted(EXTENSIONS))
                raise ImageError(f'{printable(item)} holds no image file ({endings}).')
            paths += found
        elif not item.is_file():
            paths.append(item)  # a pipe: told as a photo that cannot be read
        elif item.suffix.lower() == tar_files.ENDING:
            paths += _read_tar(item)
        elif item.suffix.lower() == '.txt':
            paths += [base / line for line in _read_lines(item)]
        elif item.suffix.lower() == '.json':
            paths += [base / name for name in _read_coco(item)]
        else:
            paths.append(item)
    if not paths:
        raise ImageError(f'{", ".join(map(printable, inputs))}: there is no photo.')
    places = [os.path.abspath(path) for path in paths]
    start = _find_root(inputs, root, places)
    photos = {}
    for path, place in zip(paths, places, strict=True):
        name = os.path.relpath(place, start).replace(os.sep, '/')
        if name.startswith('../'):
            raise ImageError(
                f'{printable(path)} is not below {printable(start)}; give another '
                'folder of all photos (--root).'
            )
        photos[name] = ListedPhoto(name, path)
    return [photos[name] for name in sorted(photos)]


def _find_root(
    inputs: Sequence[str | Path], root: str | Path | None, places: Iterable[str]
) -> str:
    if root is not None:
        return os.path.abspath(root)
    if len(inputs) == 1:
        only = os.path.abspath(inputs[0])
        return only if os.path.isdir(only) else os.path.dirname(only)
    return os.path.commonpath([os.path.dirname(place) for place in places])


def _walk(folder: Path) -> list[Path]:
    """List the images in a folder and its folders, but for hidden ones and labels."""
    found = []
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(
            x
            for x in folders
            if not x.startswith('.')
            and not all(os.path.exists(Path(place, x, y)) for y in (RECORDS, RUN))
        )
        found += [
            Path(place, name)
            for name in sorted(files)
            if Path(name).suffix.lower() in EXTENSIONS and not name.startswith('.')
        ]
    return found


def _walk_tars(folder: Path) -> list[Path]:
    """List the photos in the tar files of a folder and its folders."""
    tars = sorted(folder.rglob(f'*{tar_files.ENDING}'))
    return [photo for tar in tars if tar.is_file() for photo in _read_tar(tar)]


def _read_tar(path: Path) -> list[Path]:
    """List the photos of a tar file, one of each sample of a WebDataset."""
    try:
        members = tar_files.list_members(path)
    except ValueError as error:
        raise ImageError(str(error)) from error
    names = [x for x in members if Path(x).suffix.lower() in EXTENSIONS]
    plain: dict[str, str] = {}
    for name in sorted(names, key=_rank):
        if '.' not in Path(name).stem:
            plain.setdefault(_find_key(name), name)
    chosen = set(plain.values())
    # Of a.jpg, a.png and a.seg.png the first is the photo; b.2.jpg alone is one, too.
    kept = [x for x in names if x in chosen or _find_key(x) not in plain]
    if not kept:
        endings = ', '.join(sorted(EXTENSIONS))
        raise ImageError(f'{printable(path)} holds no image file ({endings}).')
    return [path / name for name in kept]


def _rank(name: str) -> tuple[bool, str]:
    """Sort photos before what is more often drawn."""
    return Path(name).suffix.lower() not in ('.jpg', '.jpeg', '.webp'), name


def _find_key(name: str) -> str:
    """Return the key of a WebDataset's sample: up to the first dot of the file name."""
    folder, slash, last = name.rpartition('/')
    return f'{folder}{slash}{last.partition(".")[0]}'


def _refuse(error: OSError) -> None:
    name = printable(error.filename or '')
    raise ImageError(f'{name} cannot be read: {error.strerror}') from error


def _read_lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding='utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise ImageError(f'{printable(path)} is no list of photos in UTF-8.') from error
    return [line.strip() for line in lines if line.strip()]


def _read_coco(path: Path) -> list[str]:
    try:
        content: Any = json.loads(path.read_bytes())
        return [os.fspath(image['file_name']) for image in content['images']]
    except (ValueError, KeyError, TypeError) as error:
        raise ImageError(
            f'{printable(path)} is no JSON of COCO: it needs "images" with "file_name".'
        ) from error
