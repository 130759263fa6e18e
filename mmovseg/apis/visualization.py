"""Draw segments on images, results and ground truth alike."""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw
from PIL.ImageFont import FreeTypeFont

from ..vocabulary import name_key
from .fonts import load_font

OPACITY = 0.5
STAR = '★'  # behind the names of unseen classes
MIN_SIDE = 360  # Smaller images are enlarged, or no name fits into them.


class _Name(NamedTuple):
    radius: float  # of the largest circle inside the mask
    x: int  # and its center
    y: int
    width: int  # of the mask
    area: int
    text: str


def class_color(label: int, instance: int = 0) -> tuple[int, int, int]:
    """Return the color of a class, always the same one.

    Args:
        label: Class index.
        instance: Number among the segments of the class; they differ in shade.

    Returns:
        RGB, 0..255.
    """
    # Hues a golden section apart stay apart however many there are; shades follow
    # the two-dimensional version of that sequence.
    shade = 0.7 * (instance % 4) / 4 if instance else 0
    hue = (0.58 + label * 0.618034 + 0.05 * (shade - 0.2)) % 1
    saturation = 0.55 + 0.45 * ((0.5 + label * 0.754878 + shade) % 1)
    value = 0.6 + 0.4 * ((0.9 + label * 0.569840 + shade) % 1)
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def name_color(name: str) -> tuple[int, int, int]:
    """Return the color of a name, the same one whatever other names there are.

    Two names may have nearly the same color, unlike with :func:`class_color`.

    Args:
        name: Compared as the tokenizer of CLIP sees it: ``Dog`` is ``dog``.

    Returns:
        RGB, 0..255.
    """
    return class_color(zlib.crc32(name_key(name).encode()))


def draw_panoptic(
    image: np.ndarray,
    id_map: np.ndarray,
    segments_info: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    *,
    legend: bool = True,
    unseen: Collection[int] = (),
) -> np.ndarray:
    """Draw segments that do not overlap.

    Args:
        image: RGB, uint8, ``[H, W, 3]``.
        id_map: Segment ids, ``[H, W]``; pixels of other ids stay as they are.
        segments_info: Per segment ``id`` and ``category_id``, the class index;
            ``isthing`` and ``score`` are shown where present; ``color`` (RGB) and
            ``text`` are used instead of those of the class.
        names: Class names.
        legend: Add the names of the classes below.
        unseen: Classes to mark as unseen in training, by a star.

    Returns:
        RGB, uint8; larger than the image by the legend, or enlarged if tiny.
    """
    segments = sorted(segments_info, key=lambda x: x['id'])
    masks = (id_map == segment['id'] for segment in segments)
    return _draw(image, masks, segments, names, legend, unseen)


def draw_semantic(
    image: np.ndarray,
    label_map: np.ndarray,
    names: Sequence[str],
    *,
    legend: bool = True,
) -> np.ndarray:
    """Draw a label map; labels without a name stay as they are.

    Args:
        image: RGB, uint8, ``[H, W, 3]``.
        label_map: Class indices, ``[H, W]``.
        names: Class names.
        legend: Add the names of the classes below.

    Returns:
        RGB, uint8; see :func:`draw_panoptic`.

    Example:
        >>> image, labels = np.zeros((200, 200, 3), np.uint8), np.zeros((200, 200), int)
        >>> draw_semantic(image, labels, ['dog'], legend=False).shape
        (200, 200, 3)
    """
    labels = [int(x) for x in np.unique(label_map) if 0 <= x < len(names)]
    segments = [dict(category_id=label) for label in labels]
    return _draw(image, (label_map == x for x in labels), segments, names, legend)


def draw_instances(
    image: np.ndarray,
    masks: Sequence[np.ndarray],
    labels: Sequence[int],
    names: Sequence[str],
    *,
    scores: Sequence[float] | None = None,
    legend: bool = True,
) -> np.ndarray:
    """Draw masks that may overlap, the first on top.

    Args:
        image: RGB, uint8, ``[H, W, 3]``.
        masks: Bool, ``[H, W]`` each.
        labels: Class index per mask.
        names: Class names.
        scores: Shown behind the names.
        legend: Add the names of the classes below.

    Returns:
        RGB, uint8; see :func:`draw_panoptic`.
    """
    segments: list[dict[str, Any]] = [
        dict(category_id=int(label), isthing=True) for label in labels
    ]
    if scores is not None:
        for segment, score in zip(segments, scores, strict=True):
            segment['score'] = float(score)
    return _draw(image, reversed(masks), segments[::-1], names, legend)


def draw_heatmap(
    image: np.ndarray, heat: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """Lay a heatmap over a grey image, from blue (0) to red (its largest value).

    Args:
        image: RGB, uint8, ``[H, W, 3]``.
        heat: Not negative, of any scale, ``[H, W]``.
        mask: Bool, ``[H, W]``; its outline is drawn in white.

    Returns:
        RGB, uint8; enlarged if tiny.
    """
    image, factor = _enlarge(image)
    height, width = image.shape[:2]
    heat = np.asarray(heat, np.float32) / max(float(np.max(heat)), 1e-12)
    heat = cv2.resize(heat.clip(0, 1), (width, height))
    colors = cv2.applyColorMap(np.rint(255 * heat).astype(np.uint8), cv2.COLORMAP_JET)
    # Grey, or a red object would look hot.
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None]
    canvas = grey * (1 - OPACITY) + colors[..., ::-1] * OPACITY
    canvas = np.ascontiguousarray(canvas.astype(np.uint8))
    if mask is not None:
        mask = np.asarray(mask, np.uint8).repeat(factor, 0).repeat(factor, 1)
        contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        line = max(1, round(_font_size(canvas) / 8))
        cv2.drawContours(canvas, contours, -1, (255, 255, 255), line, cv2.LINE_AA)
    return canvas


def side_by_side(
    images: Sequence[np.ndarray],
    titles: Sequence[str],
    *,
    labels: Iterable[int] = (),
    names: Sequence[str] = (),
    unseen: Collection[int] = (),
) -> np.ndarray:
    """Put images in a row, with titles above and one legend below.

    Args:
        images: RGB, uint8. Draw them with ``legend=False``.
        titles: One per image.
        labels: Classes of the legend.
        names: Class names.
        unseen: Classes to mark in the legend as unseen in training.

    Returns:
        RGB, uint8.
    """
    images = [_enlarge(image)[0] for image in images]
    height = max(len(image) for image in images)
    size = max(13, min(28, height // 20))
    top, gap = round(size * 1.8), 8
    width = sum(image.shape[1] for image in images) + gap * (len(images) - 1)
    canvas = np.full((top + height, width, 3), 255, np.uint8)
    left, places = 0, []
    for image in images:
        canvas[top : top + len(image), left : left + image.shape[1]] = image
        places.append(left + image.shape[1] / 2)
        left += image.shape[1] + gap
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for image, title, place in zip(images, titles, places, strict=True):
        font = load_font(size, title)
        title = _shorten(title, image.shape[1], font)
        draw.text((place, top / 2), title, (20, 20, 20), font, anchor='mm')
    return _add_legend(np.asarray(picture), labels, names, size, unseen)


def _draw(
    image: np.ndarray,
    masks: Iterable[np.ndarray],
    segments: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    legend: bool,
    unseen: Collection[int] = (),
) -> np.ndarray:
    """Paint segments, last on top, and their names."""
    image, factor = _enlarge(image)
    canvas = np.array(image)
    size = _font_size(canvas)
    seen: dict[int, int] = {}
    names_at: list[_Name] = []
    for mask, segment in zip(masks, segments, strict=True):
        mask = np.ascontiguousarray(np.asarray(mask, dtype=np.uint8))
        if factor > 1:
            mask = mask.repeat(factor, 0).repeat(factor, 1)
        x, y, w, h = cv2.boundingRect(mask)
        if not w:
            continue
        label = int(segment['category_id'])
        instance = seen.get(label, 0) if segment.get('isthing') else 0
        seen[label] = seen.get(label, 0) + 1
        text = segment.get('text') or _mark(label, names, unseen)
        if segment.get('score') is not None:
            text += f' {segment["score"]:.2f}'
        mask = mask[y : y + h, x : x + w]
        color = segment.get('color') or class_color(label, instance)
        _paint(canvas[y : y + h, x : x + w], mask, color, max(1, round(size / 14)))
        names_at.append(_Name(*_find_center(mask, x, y), w, int(mask.sum()), text))
    canvas = _write_names(canvas, names_at, size)
    return _add_legend(canvas, sorted(seen), names, size, unseen) if legend else canvas


def _mark(label: int, names: Sequence[str], unseen: Collection[int]) -> str:
    """Return the name of a class, with a star if it is unseen."""
    return f'{names[label]} {STAR}' if label in unseen else str(names[label])


def _enlarge(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Repeat the pixels of a tiny image; return it and the factor."""
    image = np.asarray(image, dtype=np.uint8)
    factor = max(1, min(8, MIN_SIDE // max(image.shape[:2])))
    return image.repeat(factor, 0).repeat(factor, 1), factor


def _paint(
    canvas: np.ndarray, mask: np.ndarray, color: tuple[int, int, int], line: int
) -> None:
    """Tint a region in place and outline it in a lighter shade."""
    inside = mask.astype(bool)
    tint = np.asarray(color, np.float32) * OPACITY
    canvas[inside] = (canvas[inside] * (1 - OPACITY) + tint).astype(np.uint8)
    edge = tuple(round(255 - 0.55 * (255 - x)) for x in color)
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # On a copy: OpenCV cannot draw into a view with other strides everywhere.
    drawn = np.ascontiguousarray(canvas)
    cv2.drawContours(drawn, contours, -1, edge, line, cv2.LINE_AA)
    canvas[inside] = drawn[inside]


def _find_center(mask: np.ndarray, x: int, y: int) -> tuple[float, int, int]:
    """Return radius and place of the largest circle inside a mask."""
    distance = cv2.distanceTransform(
        cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 5
    )
    _, radius, _, (column, row) = cv2.minMaxLoc(distance)
    return radius, x + column - 1, y + row - 1


def _write_names(canvas: np.ndarray, found: list[_Name], size: int) -> np.ndarray:
    """Write names into their masks, large ones first, where they do not collide."""
    height, width = canvas.shape[:2]
    picture = Image.fromarray(canvas).convert('RGBA')
    sheet = Image.new('RGBA', picture.size)
    draw = ImageDraw.Draw(sheet)
    taken: list[tuple[float, float, float, float]] = []
    for radius, x, y, room, _, text in sorted(found, key=lambda name: -name.area):
        font = load_font(size, text)
        left, top, right, bottom = draw.textbbox((0, 0), text, font, anchor='mm')
        half_w, half_h = (right - left) / 2 + size / 3, (bottom - top) / 2 + size / 5
        if not text or radius < 0.4 * size or 2 * half_w > min(width, 2 * room):
            continue  # too small to carry a name; the legend has it
        x = min(max(x, half_w), width - half_w)
        y = min(max(y, half_h), height - half_h)
        for shift in (0, -2, 2, -4, 4):
            middle = y + shift * half_h
            box = (x - half_w, middle - half_h, x + half_w, middle + half_h)
            if box[1] < 0 or box[3] > height or abs(middle - y) > radius:
                continue
            if any(_overlap(box, other) for other in taken):
                continue
            taken.append(box)
            draw.rounded_rectangle(box, size / 3, (0, 0, 0, 150))
            draw.text((x, middle), text, (255, 255, 255, 255), font, anchor='mm')
            break
    return np.asarray(Image.alpha_composite(picture, sheet).convert('RGB'))


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _add_legend(
    canvas: np.ndarray,
    labels: Iterable[int],
    names: Sequence[str],
    size: int,
    unseen: Collection[int],
) -> np.ndarray:
    """Put a white strip with colors and names below."""
    labels = list(labels)
    if not labels:
        return canvas
    width = max(canvas.shape[1], 20 * size)
    line = round(1.7 * size)
    places, x, y = [], size, size // 2
    entries: list[tuple[int | None, str]] = [
        (label, _mark(label, names, unseen)) for label in labels
    ]
    if any(label in unseen for label in labels):
        entries.append((None, f'{STAR} unseen in training'))
    for label, text in entries:
        needed = round(load_font(size, text).getlength(text)) + 2 * size
        if x > size and x + needed > width:
            x, y = size, y + line
        places.append((x, y, label, text))
        x += needed + size
    strip = Image.new('RGB', (width, y + line + size // 2), 'white')
    draw = ImageDraw.Draw(strip)
    for x, y, label, text in places:
        middle = y + line / 2
        box = (x, middle - size / 2, x + 1.3 * size, middle + size / 2)
        if label is not None:
            draw.rounded_rectangle(box, size / 4, class_color(label))
        font = load_font(size, text)
        draw.text((x + 1.8 * size, middle), text, (20, 20, 20), font, anchor='lm')
    result = np.full((len(canvas) + strip.height, width, 3), 255, np.uint8)
    result[: len(canvas), : canvas.shape[1]] = canvas
    result[len(canvas) :] = np.asarray(strip)
    return result


def _shorten(text: str, width: float, font: FreeTypeFont) -> str:
    """Cut a text that is wider than its place."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f'{text}…') > width:
        text = text[:-1]
    return f'{text}…'


def _font_size(image: np.ndarray) -> int:
    return int(min(max((image.shape[0] * image.shape[1]) ** 0.5 / 36, 11), 40))
