"""Segment photos with an exported model: NumPy, Pillow, OpenCV and ONNX Runtime only.

    python tools/deployment/export.py eovseg_r50_coco model.onnx --checkpoint C.pth \
        --classes "cat, cup; mug, stuff: table"
    python demo/onnx_demo.py model.onnx demo/images

A model exported with --text-input takes any classes, encoded by the same tool:

    python tools/deployment/export.py eovseg_r50_coco model.onnx --text-input ...
    python tools/deployment/export.py eovseg_r50_coco words.npz --classes "dog, hat" ...
    python demo/onnx_demo.py model.onnx demo/images --text words.npz

Three files per photo go to --out-dir, as from demo/image_demo.py: NAME_overlay.png,
NAME_labels.png (panoptic: id = R + 256 G + 65536 B, 0 is none; semantic: class indices)
and NAME.json (the segments: name, score, area, box x y w h).

Exit status: 0, or 1 if a photo could not be used (the others are done), or 2 if the
model or the text does not fit.
"""

from __future__ import annotations

import argparse
import colorsys
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnxruntime
from PIL import Image, ImageDraw, ImageOps

FORMAT = 1  # of the metadata that tools/deployment/export.py writes
MIN_LENGTH = 64  # of an input, in pixels
MAX_VALUES = 2**24  # of the largest temporary array of the fusion
TEXT = ('text', 'class_ids', 'seen')
EXTENSIONS = {'.bmp', '.gif', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp'}
Size = tuple[int, int]  # height and width


class Sizes(NamedTuple):
    """Heights and widths of the network's input, the image in it, and the photo."""

    padded: Size
    image: Size
    photo: Size


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('model', type=Path, help='ONNX file of tools/deployment/export.py')
    add('photos', nargs='+', type=Path, metavar='PHOTO', help='files and folders')
    add('--text', type=Path, help='.npz of the same tool, for --text-input models')
    add('--task', choices=('panoptic', 'semantic'), default='panoptic')
    add('--out-dir', type=Path, default='outputs', help='default: %(default)s')
    return parser.parse_args(argv)


class Segmentor:
    """An exported model.

    Args:
        model: ONNX file.
        text: File of text embeddings; None for a model with its own classes.

    Raises:
        ValueError: If the files are no such files or do not fit together.
    """

    def __init__(self, model: Path, text: Path | None = None) -> None:
        if not model.is_file():
            raise ValueError(f'Model {model} does not exist.')
        try:
            self.session = onnxruntime.InferenceSession(str(model))
        except Exception as error:  # ONNX Runtime raises many kinds
            raise ValueError(f'{model} is no ONNX model that runs: {error}') from error
        described = self.session.get_modelmeta().custom_metadata_map.get('mmovseg')
        self.meta = json.loads(described or '{}')
        if self.meta.get('format') != FORMAT:
            raise ValueError(
                f'{model} says format {self.meta.get("format")}, not {FORMAT}: export '
                'it with tools/deployment/export.py of this version.'
            )
        if self.meta['text_input'] != (text is not None):
            advice = 'pass --text' if text is None else 'leave --text out'
            raise ValueError(
                f'{model} was exported with text_input={self.meta["text_input"]}: '
                f'{advice}.'
            )
        self.text: dict[str, np.ndarray] = {}
        if text is not None:
            self._read_text(text)
        self.names, self.is_thing = self.meta['names'], self.meta['is_thing']

    def _read_text(self, path: Path) -> None:
        try:
            with np.load(path) as arrays:
                self.text = {name: arrays[name] for name in TEXT}
                for name in ('names', 'is_thing'):
                    self.meta[name] = arrays[name].tolist()
                clip = str(arrays['text_model'])
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(
                f'{path} holds no text embeddings of tools/deployment/export.py: '
                f'{error}'
            ) from error
        if clip != self.meta['text_model']:
            raise ValueError(
                f'{path} was encoded by {clip}, the model needs those of '
                f'{self.meta["text_model"]}: encode the classes with its config.'
            )

    def __call__(self, photo: np.ndarray, task: str) -> tuple[np.ndarray, list[dict]]:
        """Segment an RGB photo; return label map and segments."""
        images, sizes = self.prepare(photo)
        try:
            outputs = self.session.run(None, dict(images=images, **self.text))
        except Exception as error:  # ONNX Runtime raises many kinds
            raise ValueError(
                f'ONNX Runtime failed on {sizes.padded[1]}x{sizes.padded[0]} pixels: '
                f'{error}'
            ) from error
        scores, mask_logits = outputs
        fuse = fuse_panoptic if task == 'panoptic' else fuse_semantic
        label_map, segments = fuse(scores[0], mask_logits[0], sizes, self.meta)
        for segment in segments:
            label = segment['label']
            segment.update(name=self.names[label], isthing=self.is_thing[label])
            segment['box'] = find_box(label_map == segment['id'])
        return label_map, segments

    def prepare(self, photo: np.ndarray) -> tuple[np.ndarray, Sizes]:
        """Resize and pad; return ``[1, 3, H, W]`` and the sizes."""
        size = photo.shape[:2]
        factor = min(
            self.meta['scale'][0] / max(size), self.meta['scale'][1] / min(size)
        )
        height, width = (int(length * factor + 0.5) for length in size)
        if min(height, width) < 1:
            raise ValueError(f'a photo of {size[1]}x{size[0]} pixels is too narrow.')
        image = cv2.resize(photo, (width, height), interpolation=cv2.INTER_LINEAR)
        divisor = self.meta['divisor']
        padded = tuple(
            # Graphs are made for lengths of at least MIN_LENGTH.
            max(-(-length // divisor) * divisor, MIN_LENGTH)
            for length in image.shape[:2]
        )
        # The graph normalises: the mean colour becomes the 0 that models are padded by.
        canvas = np.empty((*padded, 3), np.float32)
        canvas[:] = self.meta['padding']
        canvas[:height, :width] = image
        images = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None])
        return images, Sizes(padded, (height, width), size)


def resize_matrix(size: int, new_size: int) -> np.ndarray:
    """Return the bilinear mix of ``[new_size, size]`` (corners not aligned)."""
    ratio = np.float32(size / new_size)
    place = (np.arange(new_size, dtype=np.float32) + 0.5) * ratio - 0.5
    place = place.clip(0, size - 1)
    low = place.astype(int)
    matrix = np.zeros((new_size, size), np.float32)
    rows = np.arange(new_size)
    matrix[rows, low] = 1 - (place - low)
    matrix[rows, (low + 1).clip(max=size - 1)] += place - low
    return matrix


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x.clip(-80, 80)))


def mask_strips(
    mask_logits: np.ndarray, sizes: Sizes, meta: dict, values: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Resize masks ``[N, h, w]`` to the photo, some of its rows at a time.

    Args:
        mask_logits: Of the queries that matter.
        sizes: To the padded input, cropped to the image, to the photo.
        meta: ``resize_probabilities`` takes the sigmoid before the last resize.
        values: Numbers that the caller needs per pixel.

    Yields:
        Rows, and probabilities ``[N, rows, W]``.
    """
    mixes = [
        (resize_matrix(h, padded)[:image], resize_matrix(image, photo))
        for h, padded, image, photo in zip(mask_logits.shape[1:], *sizes, strict=True)
    ]
    early = meta['resize_probabilities']
    if early:
        (to_rows, mix_rows), (to_columns, mix_columns) = mixes
        mask_logits = sigmoid(to_rows @ mask_logits @ to_columns.T)
    else:
        mix_rows, mix_columns = (last @ first for first, last in mixes)
    height, width = sizes.photo
    step = max(1, MAX_VALUES // (max(values, len(mask_logits), 1) * width))
    for start in range(0, height, step):
        rows = slice(start, min(start + step, height))
        strip = mix_rows[rows] @ mask_logits @ mix_columns.T
        yield rows, strip if early else sigmoid(strip)


def fuse_panoptic(
    scores: np.ndarray, mask_logits: np.ndarray, sizes: Sizes, meta: dict
) -> tuple[np.ndarray, list[dict]]:
    """Give every pixel to the query with the largest mask times class score.

    Args:
        scores: Class probabilities, void last, ``[N, K + 1]``.
        mask_logits: ``[N, h, w]``.
        sizes: See :func:`mask_strips`.
        meta: Thresholds and thing flags.

    Returns:
        Ids, 0 where there is no segment, ``[H, W]``; and the segments, best first.
    """
    labels, best = scores.argmax(1), scores.max(1)
    void = scores.shape[1] - 1
    kept = np.flatnonzero((labels < void) & (best > meta['object_mask_thr']))
    owner = np.full(sizes.photo, len(kept))  # len(kept): nobody
    areas = np.zeros((3, len(kept)), int)
    if len(kept):
        for rows, masks in mask_strips(mask_logits[kept], sizes, meta, len(kept)):
            winner = (masks * best[kept, None, None]).argmax(0)
            inside = np.take_along_axis(masks, winner[None], 0)[0] >= 0.5
            areas[0] += np.bincount(winner.ravel(), minlength=len(kept))
            areas[1] += (masks >= 0.5).sum((1, 2))
            areas[2] += np.bincount(winner[inside], minlength=len(kept))
            owner[rows] = np.where(inside, winner, len(kept))
    segments: list[dict[str, Any]] = []
    stuff: dict[int, dict] = {}
    members: list[tuple[int, dict]] = []
    for i, (won, own, both) in enumerate(areas.T.tolist()):
        if not (won and own and both) or won / own < meta['iou_thr']:
            continue
        label, score = int(labels[kept[i]]), float(best[kept[i]])
        segment = dict(id=0, label=label, score=0.0, area=0)
        if not meta['is_thing'][label]:
            segment = stuff.setdefault(label, segment)
        if segment['area'] == 0:
            segments.append(segment)
        segment['score'] = max(segment['score'], score)
        segment['area'] += both
        members.append((i, segment))
    segments.sort(key=lambda x: -x['score'])
    for number, segment in enumerate(segments, 1):
        segment['id'] = number
    numbers = np.zeros(len(kept) + 1, np.int32)
    for i, segment in members:
        numbers[i] = segment['id']
    return numbers[owner], segments


def fuse_semantic(
    scores: np.ndarray, mask_logits: np.ndarray, sizes: Sizes, meta: dict
) -> tuple[np.ndarray, list[dict]]:
    """Give every pixel to the class with the largest sum of score times mask."""
    classes = scores[:, :-1].T  # [K, N]
    label_map = np.zeros(sizes.photo, np.int32)
    for rows, masks in mask_strips(mask_logits, sizes, meta, len(classes)):
        label_map[rows] = np.tensordot(classes, masks, 1).argmax(0)
    labels, areas = np.unique(label_map, return_counts=True)
    pairs = zip(labels.tolist(), areas.tolist(), strict=True)
    segments = [dict(id=x, label=x, score=None, area=area) for x, area in pairs]
    return label_map, segments


def find_box(mask: np.ndarray) -> list[int]:
    """Return x, y, width, height of a mask that is not empty."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y]


def draw(photo: np.ndarray, label_map: np.ndarray, segments: list[dict]) -> Image.Image:
    """Colour the segments of an RGB photo and write their names on them."""
    colours = photo.astype(np.float32)
    for segment in segments:
        hue = segment['id'] * 0.618034 % 1
        colour = 255 * np.array(colorsys.hsv_to_rgb(hue, 0.8, 0.9))
        mask = label_map == segment['id']
        colours[mask] = 0.5 * colours[mask] + 0.5 * colour
    image = Image.fromarray(colours.astype(np.uint8))
    canvas = ImageDraw.Draw(image)
    for segment in segments:
        rows, columns = np.nonzero(label_map == segment['id'])
        middle = len(rows) // 2
        place = int(columns[middle]), int(rows[middle])
        canvas.text(place, segment['name'], anchor='mm', stroke_width=1, stroke_fill=0)
    return image


def encode_labels(label_map: np.ndarray, task: str, num_classes: int) -> Image.Image:
    """Make the label map a picture; see the top of this file."""
    if task == 'panoptic':
        channels = [label_map % 256, label_map // 256 % 256, label_map // 65536]
        return Image.fromarray(np.stack(channels, -1).astype(np.uint8))
    dtype = np.uint8 if num_classes < 255 else np.uint16
    return Image.fromarray(label_map.astype(dtype))


def write(path: Path, data: bytes) -> None:
    """Write a file at once: others see the old one or the complete new one."""
    partial = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def to_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format='PNG')
    return buffer.getvalue()


def find_photos(sources: list[Path]) -> list[Path]:
    """Replace folders by the images in them."""
    found: list[Path] = []
    for source in sources:
        inside = sorted(source.iterdir()) if source.is_dir() else [source]
        found += [x for x in inside if x == source or x.suffix.lower() in EXTENSIONS]
    return found


def make_names(photos: list[Path]) -> list[str]:
    """Name the files of every photo, those of one stem by numbers besides."""
    names: list[str] = []
    for path in photos:
        name, number = path.stem, 2
        while name.lower() in {x.lower() for x in names}:
            name, number = f'{path.stem}_{number}', number + 1
        names.append(name)
    return names


def read_photo(path: Path) -> np.ndarray:
    """Read a photo as a viewer shows it: upright, 8 bits, transparency on white."""
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file)
    if image.mode[0] in 'IF':  # grey of more bits
        values = np.nan_to_num(np.asarray(image, np.float32))
        top = values.max()
        if image.mode == 'F':
            values *= 255 if top <= 1 else 1
        elif image.mode != 'I' or top > 255:
            values /= 257  # 65535 becomes 255
        image = Image.fromarray(np.rint(values.clip(0, 255)).astype(np.uint8))
    if image.getbands()[-1] == 'A' or 'transparency' in image.info:
        image = image.convert('RGBA')
        white = Image.new('RGBA', image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert('RGB'))


def segment_file(
    segmentor: Segmentor, path: Path, name: str, task: str, out_dir: Path
) -> str:
    """Segment one photo into three files; return a line about it."""
    try:
        photo = read_photo(path)
    except Exception as error:  # Pillow's readers raise many kinds on odd bytes
        raise ValueError(f'cannot be read: {error}') from error
    label_map, segments = segmentor(photo, task)
    height, width = label_map.shape
    record = dict(image=name, height=height, width=width, task=task)
    text = json.dumps(dict(record, segments=segments), indent=1, ensure_ascii=False)
    out_dir.mkdir(parents=True, exist_ok=True)
    labels = encode_labels(label_map, task, len(segmentor.names))
    write(out_dir / f'{name}_overlay.png', to_png(draw(photo, label_map, segments)))
    write(out_dir / f'{name}_labels.png', to_png(labels))
    write(out_dir / f'{name}.json', f'{text}\n'.encode())
    classes = ', '.join(dict.fromkeys(x['name'] for x in segments))
    return f'{name}: {len(segments)} segments ({classes})'


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        segmentor = Segmentor(args.model, args.text)
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    photos = find_photos(args.photos)
    failed = not photos
    if failed:
        print(f'error: no photo in {", ".join(map(str, args.photos))}', file=sys.stderr)
    for path, name in zip(photos, make_names(photos), strict=True):
        try:
            print(segment_file(segmentor, path, name, args.task, args.out_dir))
        except ValueError as error:
            print(f'error: {path}: {error}', file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
