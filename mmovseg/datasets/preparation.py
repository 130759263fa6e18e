"""What the converters of downloaded datasets share (tools/dataset_converters)."""

from __future__ import annotations

import io
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from PIL import Image
from scipy.io import loadmat

from ..fileio import write_atomic
from ..progress import Progress

TaskT = TypeVar('TaskT')
ResultT = TypeVar('ResultT')


def check_counts(
    found: Mapping[str, list[TaskT]],
    expected: Mapping[str, int],
    what: str,
    *,
    partial: bool,
) -> dict[str, list[TaskT]]:
    """Refuse an incomplete download.

    Args:
        found: What was found of every split that is asked for.
        expected: How many there are in the full dataset.
        what: What was looked for, and where, for the message.
        partial: Whether fewer are all right.

    Returns:
        ``found``, without the splits that have nothing.

    Raises:
        ValueError: If numbers differ. None at all or too many are never right.
    """
    there = {split: files for split, files in found.items() if files}
    if partial and not there:
        raise ValueError(f'Found no {what} ({", ".join(found)}).')
    for split, files in (there if partial else found).items():
        count, full = len(files), expected[split]
        if count == full or (partial and count < full):
            continue
        advice = ''
        if 0 < count < full:
            advice += ' --partial converts what is there.'
        if len(found) > 1:
            advice += ' --splits takes one split alone.'
        raise ValueError(
            f'{split}: found {count} {what}, the dataset has {full}.{advice}'
        )
    return there


def run(
    function: Callable[[TaskT], ResultT], tasks: Iterable[TaskT], num_workers: int
) -> list[ResultT]:
    """Work on all tasks, in parallel, and show how far it is.

    Args:
        function: What to do; defined at the top of a module if there are workers.
        tasks: Its arguments.
        num_workers: Processes; up to 1 means this one.

    Returns:
        The results in the order of the tasks.
    """
    tasks = list(tasks)
    results: list[ResultT] = []
    if not tasks:
        return results
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(len(tasks), 'Files', 'file'))
        if num_workers > 1:
            # One thread each: there are as many processes as cores.
            pool = multiprocessing.Pool(num_workers, cv2.setNumThreads, (0,))
            done: Iterator[ResultT] = stack.enter_context(pool).imap(
                function, tasks, chunksize=4
            )
        else:
            done = map(function, tasks)
        for result in done:
            results.append(result)
            progress.update()
    return results


def is_done(path: Path) -> bool:
    """Tell whether an output exists and is not empty."""
    return path.is_file() and path.stat().st_size > 0


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is cut off or no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f'{path} is cut off or no JSON: {error}') from error


def read_mat(path: Path, *keys: Any) -> np.ndarray:
    """Read an array from a MATLAB file.

    Args:
        path: The file.
        keys: Where in the file it is, from the name of the variable inwards.

    Raises:
        ValueError: If the file cannot be read or has nothing there.
    """
    try:
        content: Any = loadmat(path)
        for key in keys:
            content = content[key]
    except Exception as error:  # anything from TypeError to zlib.error if cut off
        raise ValueError(
            f'{path} cannot be read, copy it again: {type(error).__name__} {error}'
        ) from error
    return content


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one go."""
    write_atomic(path, json.dumps(content))


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image in one go, lossless but for JPEG.

    Args:
        path: Where; its suffix decides on the format.
        image: ``[H, W]`` uint8 or (TIFF only) uint16, or RGB ``[H, W, 3]`` uint8.
    """
    options: dict[str, dict] = {
        '.jpg': {'format': 'JPEG', 'quality': 95},
        '.png': {'format': 'PNG'},
        '.tif': {'format': 'TIFF', 'compression': 'tiff_deflate'},
    }
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, **options[path.suffix])
    write_atomic(path, buffer.getvalue())
