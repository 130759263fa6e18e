"""Crops of ShapeWorld named by what is in the middle, for a CLIP to learn from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
from scipy.ndimage import find_objects

from mmovseg.datasets.preparation import run
from mmovseg.shapeworld.drawing import (
    CLASSES,
    PATTERNED,
    SOLID,
    STUFF,
    ShapeSample,
    draw_numbered,
)

# How often a crop shows a solid shape, a patterned one, a texture.
SHARES = {SOLID: 0.56, PATTERNED: 0.2, STUFF: 0.24}


class Region(NamedTuple):
    """A segment of a picture."""

    picture: int
    segment: int
    box: tuple[int, int, int, int]  # y, x, height, width


def _draw_mixed(number: int, seed: int, split: str, sizes: Sequence[int]) -> Any:
    return draw_numbered(seed, split, number, sizes[number % len(sizes)])


def draw_pictures(
    split: str,
    count: int,
    *,
    sizes: Sequence[int] = (128, 192),
    seed: int = 0,
    num_workers: int = 1,
) -> list[ShapeSample]:
    """Draw pictures into memory, about 0.1 MB each, and show how far it is.

    Args:
        split: One of ``shapeworld.SPLITS``.
        count: Their number.
        sizes: Heights and widths in pixels, taken in turns.
        seed: Of the pictures.
        num_workers: Processes.

    Returns:
        The pictures; their segments as uint8.
    """
    draw = partial(_draw_mixed, seed=seed, split=split, sizes=tuple(sizes))
    return [
        sample._replace(segments=sample.segments.astype(np.uint8))
        for sample in run(draw, range(count), num_workers)
    ]


def find_regions(pictures: Sequence[ShapeSample]) -> dict[str, list[Region]]:
    """List the segments of every class that occurs."""
    found: dict[str, list[Region]] = {}
    for number, sample in enumerate(pictures):
        boxes = find_objects(sample.segments.astype(np.int32) + 1)
        for segment, (label, (ys, xs)) in enumerate(
            zip(sample.labels, boxes, strict=True)
        ):
            box = ys.start, xs.start, ys.stop - ys.start, xs.stop - xs.start
            found.setdefault(CLASSES[label], []).append(Region(number, segment, box))
    return found


def _resize(image: np.ndarray, frame: int) -> np.ndarray:
    kind = cv2.INTER_AREA if len(image) > frame else cv2.INTER_LINEAR
    return cv2.resize(image, (frame, frame), interpolation=kind)


def crop_thing(
    sample: ShapeSample,
    region: Region,
    frame: int,
    *,
    share: float,
    shift: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Cut out a thing with its surroundings.

    Args:
        sample: The picture.
        region: The thing.
        frame: Height and width of the crop in pixels.
        share: What part of the crop's side the box of the thing takes, if the picture
            is large enough.
        shift: How far the thing is off the middle, in sides of the crop.

    Returns:
        RGB, ``[frame, frame, 3]`` uint8.
    """
    y, x, height, width = region.box
    size = len(sample.image)
    side = min(max(round(max(height, width) / share), 8), size)
    top = round(y + height / 2 - side * (0.5 + shift[0]))
    left = round(x + width / 2 - side * (0.5 + shift[1]))
    top, left = (min(max(at, 0), size - side) for at in (top, left))
    return _resize(sample.image[top : top + side, left : left + side], frame)


def find_square(
    rng: np.random.RandomState, sample: ShapeSample, region: Region, sides: tuple
) -> tuple[slice, slice] | None:
    """Find a square that shows a region and nothing else.

    Args:
        rng: Source of every choice.
        sample: The picture.
        region: Of a texture.
        sides: Smallest and largest side of the square in pixels.

    Returns:
        Rows and columns; None if chance found no such square.
    """
    y, x, height, width = region.box
    for _ in range(12):
        side = int(rng.uniform(*sides))
        if side > min(height, width):
            continue
        top = y + rng.randint(height - side + 1)
        left = x + rng.randint(width - side + 1)
        place = slice(top, top + side), slice(left, left + side)
        if (sample.segments[place] == region.segment).mean() > 0.97:
            return place
    return None


def crop_stuff(
    rng: np.random.RandomState, sample: ShapeSample, region: Region, frame: int
) -> np.ndarray | None:
    """Cut out a square of a texture and nothing else, enlarged up to 2.7 times.

    Returns:
        RGB, ``[frame, frame, 3]`` uint8; None if chance found no such square.
    """
    place = find_square(rng, sample, region, (0.37 * frame, frame))
    return None if place is None else _resize(sample.image[place], frame)


class CropSource:
    """Draws crops of random classes from pictures.

    Args:
        pictures: What :func:`draw_pictures` returns.

    Raises:
        ValueError: If a class does not occur.
    """

    def __init__(self, pictures: Sequence[ShapeSample]) -> None:
        self.pictures = pictures
        self.regions = find_regions(pictures)
        self.by_picture: list[list[Region]] = [[] for _ in pictures]
        for region in itertools.chain(*self.regions.values()):
            self.by_picture[region.picture].append(region)
        missing = sorted(set(CLASSES) - set(self.regions))
        if missing:
            raise ValueError(
                f'{len(pictures)} pictures show no {missing}; draw more of them.'
            )

    def draw(
        self, rng: np.random.RandomState, count: int, frame: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw crops; solid shapes, patterned ones and textures as ``SHARES`` says.

        Args:
            rng: Source of every choice.
            count: B, their number.
            frame: Height and width in pixels.

        Returns:
            RGB ``[B, frame, frame, 3]`` uint8 and labels ``[B]`` int64.
        """
        groups = list(SHARES)
        images = np.empty((count, frame, frame, 3), np.uint8)
        labels = np.empty(count, np.int64)
        for number, group in enumerate(
            rng.choice(len(groups), count, p=list(SHARES.values()))
        ):
            names, image = groups[group], None
            while image is None:
                name = names[rng.randint(len(names))]
                image = self._crop(rng, name, frame)
            images[number] = image[:, ::-1] if rng.randint(2) else image
            labels[number] = CLASSES.index(name)
        return images, labels

    def _crop(
        self, rng: np.random.RandomState, name: str, frame: int
    ) -> np.ndarray | None:
        regions = self.regions[name]
        region = regions[rng.randint(len(regions))]
        sample = self.pictures[region.picture]
        if name in STUFF:
            return crop_stuff(rng, sample, region, frame)
        share, shift = rng.uniform(0.6, 1), rng.uniform(-0.1, 0.1, 2)
        return crop_thing(sample, region, frame, share=share, shift=tuple(shift))

    def draw_whole(
        self, rng: np.random.RandomState, count: int, frame: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw whole pictures, with a box for every thing and a square per texture.

        Args:
            rng: Source of every choice.
            count: B, their number.
            frame: Height and width in pixels.

        Returns:
            RGB ``[B, frame, frame, 3]`` uint8; boxes (top, left, bottom, right as
            shares of the side) ``[B, N, 4]`` float32; labels ``[B, N]`` int64, -100
            where a picture has fewer than N.
        """
        images = np.empty((count, frame, frame, 3), np.uint8)
        found: list[list[tuple[tuple[float, ...], int]]] = []
        for number in range(count):
            index = rng.randint(len(self.pictures))
            sample, flip = self.pictures[index], rng.randint(2)
            size = len(sample.image)
            image = _resize(sample.image, frame)
            images[number] = image[:, ::-1] if flip else image
            boxes: list[tuple[tuple[float, ...], int]] = []
            for region in self.by_picture[index]:
                label = sample.labels[region.segment]
                y, x, height, width = region.box
                if label < len(STUFF):
                    place = find_square(rng, sample, region, (size / 8, size / 2))
                    if place is None:
                        continue
                    y, x = place[0].start, place[1].start
                    height = width = place[0].stop - y
                x = size - x - width if flip else x
                box = y / size, x / size, (y + height) / size, (x + width) / size
                boxes.append((box, label))
            found.append(boxes)
        most = max(1, *(len(boxes) for boxes in found))
        places = np.zeros((count, most, 4), np.float32)
        labels = np.full((count, most), -100)
        for number, boxes in enumerate(found):
            for slot, (place_of, label) in enumerate(boxes):
                places[number, slot], labels[number, slot] = place_of, label
        return images, places, labels
