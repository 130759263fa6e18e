"""Panoptic files that the converters make (tools/dataset_converters): PNGs and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from pycocotools import mask as rle
from scipy.ndimage import find_objects

from ..formats.panoptic_format import VOID_ID, id_to_rgb, read_segment_ids
from .preparation import is_done, read_json, run, write_image, write_json

TaskT = TypeVar('TaskT')


def write_panoptic_png(path: Path, ids: np.ndarray) -> None:
    """Write a panoptic PNG, or find that it is there.

    Args:
        path: Where.
        ids: Segment of every pixel, ``[H, W]``.

    Raises:
        ValueError: If another one is there. One that is broken is replaced.
    """
    try:
        there = read_segment_ids(str(path))
    except (FileNotFoundError, ValueError):
        write_image(path, id_to_rgb(ids))
        return
    if not np.array_equal(there, ids):
        raise ValueError(
            f'{path} is there and not what this tool makes of the annotations; it is '
            f'not overwritten. Move {path.parent} away if you do not need it.'
        )


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


def _read_made(path: Path, categories: list[dict]) -> dict:
    """Read a JSON file of an earlier run; empty if none can be read.

    Args:
        path: The file.
        categories: Those that it is to have. Colors do not matter.

    Raises:
        ValueError: If it has other ones, so that another tool made it.
    """
    try:
        content = read_json(path)
    except (FileNotFoundError, ValueError):
        return {}
    keys = [key for key in ('id', 'name', 'isthing') if key in categories[0]]
    told, ours = (
        [[category.get(key) for key in keys] for category in these]
        for these in (content.get('categories', []), categories)
    )
    if told != ours:
        raise ValueError(
            f'{path} does not number and name the classes as this tool does; it is not '
            'overwritten. Move it and its PNGs away if you do not need them.'
        )
    return content


def _is_complete(
    panoptic: Path,
    instance: Path,
    names: Iterable[str],
    categories: tuple[list[dict], list[dict]],
) -> bool:
    """Tell whether both JSON files know all images and all panoptic PNGs exist.

    Args:
        panoptic: The panoptic JSON; its PNGs are in the folder of its name.
        instance: The instance JSON.
        names: Of the PNGs of all images.
        categories: Those of the panoptic and of the instance JSON.

    Raises:
        ValueError: If one of the files has other categories.
    """
    segments = _read_made(panoptic, categories[0])
    instances = _read_made(instance, categories[1])
    if not (segments and instances):
        return False
    told = {entry['file_name'] for entry in segments['annotations']}
    images, others = (
        {image['id'] for image in content['images']}
        for content in (segments, instances)
    )
    folder = panoptic.with_suffix('')
    return (
        told.issuperset(names)
        and images == others
        and all(is_done(folder / name) for name in told)
    )


def _write_annotations(
    panoptic: Path,
    instance: Path,
    images: list[dict],
    described: Iterable[tuple[list[dict], list[dict]]],
    *,
    categories: tuple[list[dict], list[dict]],
) -> None:
    """Write the two JSON files of a panoptic dataset.

    Args:
        panoptic: Where the panoptic JSON goes.
        instance: Where the instance JSON goes.
        images: Its images; ``png_name`` in them is the file of the panoptic PNG.
        described: Segments and instances of every image, as described above.
        categories: Those of the panoptic and of the instance JSON.
    """
    infos = [{k: v for k, v in image.items() if k != 'png_name'} for image in images]
    segments: list[dict] = []
    instances: list[dict] = []
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

    A split whose JSON files know all PNGs is left as it is. Of any other, the PNGs that
    exist are described again and stay. What another tool made is never overwritten.

    Args:
        panoptic: Where the panoptic JSON goes; its PNGs go to the folder of its name.
        instance: Where the instance JSON goes.
        tasks: What ``convert`` gets, by name of the PNG.
        convert: Writes one PNG as above; returns the image with its ``png_name``, and
            its segments and instances as described above.
        categories: Those of the panoptic and of the instance JSON.
        num_workers: Processes.

    Raises:
        ValueError: If another tool made what is there.
    """
    if _is_complete(panoptic, instance, tasks, categories):
        print(f'{panoptic} is complete.')
        return
    print(f'{panoptic}: {len(tasks)} images')
    results = run(convert, tasks.values(), num_workers)
    images = [image for image, _ in results]
    described = [pair for _, pair in results]
    _write_annotations(panoptic, instance, images, described, categories=categories)
