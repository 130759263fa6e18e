"""What the converters of downloaded data sets share (tools/dataset_converters)."""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from mmengine.utils import ProgressBar
from PIL import Image
from pycocotools import mask as rle
from scipy.ndimage import find_objects

from .panoptic_format import VOID_ID

TaskT = TypeVar('TaskT')
ResultT = TypeVar('ResultT')


def make_parser(description: str | None, root: str) -> argparse.ArgumentParser:
    """Make the command line that all converters have.

    Args:
        description: Docstring of the tool.
        root: What the folder of the data set is called in the help.

    Returns:
        A parser for ``root``, ``--workers`` and ``--partial``.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', type=Path, help=root)
    parser.add_argument(
        '--workers',
        type=int,
        default=min(os.cpu_count() or 1, 16),
        help='processes (default: %(default)s)',
    )
    parser.add_argument(
        '--partial',
        action='store_true',
        help='convert what is there even if images of the full set are missing',
    )
    return parser


def check_count(what: str, found: int, expected: int, *, partial: bool) -> None:
    """Refuse an incomplete download.

    Args:
        what: The files, for the message.
        found: Their number.
        expected: Their number in the full data set.
        partial: Whether fewer are all right.

    Raises:
        ValueError: If the numbers differ. Too many are never right.
    """
    if found == expected or (partial and 0 < found < expected):
        return
    advice = '--partial converts what is there.' if 0 < found < expected else ''
    raise ValueError(f'Found {found} {what}, the data set has {expected}. {advice}')


def run(
    function: Callable[[TaskT], ResultT], tasks: Iterable[TaskT], num_workers: int
) -> list[ResultT]:
    """Work on all tasks, in parallel, with a progress bar.

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
    progress, step = ProgressBar(len(tasks)), max(len(tasks) // 100, 1)
    with ExitStack() as stack:
        if num_workers > 1:
            # One thread each: there are as many processes as cores.
            pool = multiprocessing.Pool(num_workers, cv2.setNumThreads, (0,))
            done = stack.enter_context(pool).imap(function, tasks, chunksize=4)
        else:
            done = map(function, tasks)
        for result in done:
            results.append(result)
            if len(results) % step == 0:
                progress.update(step)
    print()
    return results


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one go, so that what exists is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    draft.write_bytes(data)
    draft.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one go."""
    write_bytes(path, json.dumps(content).encode())


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
    write_bytes(path, buffer.getvalue())


def describe_segments(
    ids: np.ndarray, classes: Mapping[int, tuple[int, bool]]
) -> list[dict]:
    """Describe the segments of an image as the panoptic format has it.

    Args:
        ids: Segment of every pixel, ``[H, W]``; 0 is void.
        classes: Category id and crowd flag of every segment id in the map.

    Returns:
        ``segments_info``, by ascending id.
    """
    values, positions, areas = np.unique(ids, return_inverse=True, return_counts=True)
    boxes = find_objects(positions.reshape(ids.shape) + 1)
    segments = []
    for value, area, (ys, xs) in zip(
        values.tolist(), areas.tolist(), boxes, strict=True
    ):
        if value == VOID_ID:
            continue
        category, crowd = classes[value]
        segments.append(
            {
                'id': value,
                'category_id': category,
                'area': area,
                'bbox': [xs.start, ys.start, xs.stop - xs.start, ys.stop - ys.start],
                'iscrowd': int(crowd),
            }
        )
    return segments


def describe_instances(
    ids: np.ndarray, segments: Iterable[dict], thing_ids: Iterable[int]
) -> list[dict]:
    """Describe the things of an image as the instance format has it.

    Args:
        ids: Segment of every pixel, ``[H, W]``.
        segments: What :func:`describe_segments` returns.
        thing_ids: Category ids of the things.

    Returns:
        Annotations with ``segmentation`` (RLE), without ``id`` and ``image_id``.
    """
    things = set(thing_ids)
    ids = np.asfortranarray(ids)  # once, not for every mask
    instances = []
    for segment in segments:
        if segment['category_id'] not in things:
            continue
        code = rle.encode((ids == segment['id']).view(np.uint8))
        code['counts'] = code['counts'].decode()
        instances.append({**segment, 'segmentation': code})
    return instances


def _is_complete(panoptic: Path, instance: Path, names: Iterable[str]) -> bool:
    """Tell whether both JSON files and all panoptic PNGs exist.

    Args:
        panoptic: The panoptic JSON; its PNGs are in the folder of its name.
        instance: The instance JSON.
        names: Of the PNGs of all images.
    """
    if not (panoptic.is_file() and instance.is_file()):
        return False
    told = json.loads(panoptic.read_text())['annotations']
    folder = panoptic.with_suffix('')
    names = set(names)
    return names == {entry['file_name'] for entry in told} and names <= set(
        os.listdir(folder)
    )


def _write_annotations(
    panoptic: Path,
    instance: Path,
    images: list[dict],
    described: Iterable[tuple[list[dict], list[dict]]],
    *,
    categories: tuple[list[dict], list[dict]],
) -> None:
    """Write the two JSON files of a panoptic data set.

    Args:
        panoptic: Where the panoptic JSON goes.
        instance: Where the instance JSON goes.
        images: Its images; ``png_name`` in them is the file of the panoptic PNG.
        described: Segments and instances of every image, as described above.
        categories: Those of the panoptic and of the instance JSON.
    """
    infos = [{k: v for k, v in image.items() if k != 'png_name'} for image in images]
    segments, instances = [], []
    for image, (segments_info, things) in zip(images, described, strict=True):
        segments.append(
            {
                'image_id': image['id'],
                'file_name': image['png_name'],
                'segments_info': segments_info,
            }
        )
        for thing in things:
            # Ids from 1: pycocotools takes 0 for no match.
            number = len(instances) + 1
            instances.append({**thing, 'id': number, 'image_id': image['id']})
    for path, entries, cats in (
        (instance, instances, categories[1]),
        (panoptic, segments, categories[0]),  # last, as the seal
    ):
        write_json(path, {'images': infos, 'annotations': entries, 'categories': cats})


def convert_panoptic(
    panoptic: Path,
    instance: Path,
    tasks: Mapping[str, TaskT],
    convert: Callable[[TaskT], tuple[dict, tuple[list[dict], list[dict]]]],
    *,
    categories: tuple[list[dict], list[dict]],
    num_workers: int,
) -> None:
    """Make the panoptic PNGs, the panoptic and the instance JSON of a split.

    A split whose JSON files know all PNGs is left as it is; any other is made anew.

    Args:
        panoptic: Where the panoptic JSON goes; its PNGs go to the folder of its name.
        instance: Where the instance JSON goes.
        tasks: What ``convert`` gets, by name of the PNG.
        convert: Writes one PNG; returns the image with its ``png_name``, and its
            segments and instances as described above.
        categories: Those of the panoptic and of the instance JSON.
        num_workers: Processes.
    """
    if _is_complete(panoptic, instance, tasks):
        print(f'{panoptic} is complete.')
        return
    print(f'{panoptic}: {len(tasks)} images')
    results = run(convert, tasks.values(), num_workers)
    images = [image for image, _ in results]
    described = [pair for _, pair in results]
    _write_annotations(panoptic, instance, images, described, categories=categories)
