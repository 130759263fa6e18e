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
and NAME.json (the segments: name, score, area, box x y w h). No file is overwritten but
the results of the same photo; a photo whose name is taken gets a number.

Exit status: 0, or 1 if a photo could not be used (the others are done), or 2 if the
model, the text or the folder of the results does not fit.
"""

from __future__ import annotations

import argparse
import colorsys
import hashlib
import io
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


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


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import cv2
import numpy as np
import onnxruntime
from PIL import Image, ImageDraw, ImageOps
from PIL.PngImagePlugin import PngInfo

FORMAT = 2  # of the metadata that tools/deployment/export.py writes
MIN_LENGTH = 64  # of an input, in pixels
MAX_VALUES = 2**24  # of the largest temporary array of the fusion
MAX_BYTES = 2**30  # of a file of text embeddings, unpacked
TEXT = dict(text='f', class_ids='i', seen='b')  # kinds of their dtypes
EXTENSIONS = {
    *('.bmp', '.gif', '.jpeg', '.jpg', '.pbm', '.pgm', '.png', '.ppm', '.tif'),
    *('.tiff', '.webp'),
}
# The only formats that are decoded: others may start programs, as EPS does.
FORMATS = ('BMP', 'GIF', 'JPEG', 'PNG', 'PPM', 'TIFF', 'WEBP')
# What the metadata of a graph holds: see docs/deployment.md.
META = dict(
    text_model=str,
    text_fingerprint=str,
    text_input=bool,
    divisor=int,
    scale=list,
    padding=list,
    object_mask_thr=(int, float),
    iou_thr=(int, float),
    resize_probabilities=bool,
    one_step_resize=bool,
)
SOURCE = 'mmovseg-source'  # text in a drawing: a hash of the path of its photo
ENDINGS = ('_overlay.png', '_labels.png', '.json')
Size = tuple[int, int]  # height and width


class Sizes(NamedTuple):
    """Heights and widths of the network's input, the image in it, and the photo."""

    padded: Size
    image: Size
    photo: Size


class Segmentor:
    """An exported model.

    Args:
        model: ONNX file.
        text: File of text embeddings; None for a model with its own classes.

    Raises:
        ValueError: If the files are no such files or do not fit together.
    """

    def __init__(self, model: Path, text: Path | None = None) -> None:
        check_file(model)
        try:
            self.session = onnxruntime.InferenceSession(str(model))
        except Exception as error:  # ONNX Runtime raises many kinds
            raise ValueError(f'{model} is no ONNX model that runs: {error}') from error
        self.meta = read_meta(self.session, model)
        if self.meta['text_input'] != (text is not None):
            advice = 'pass --text' if text is None else 'leave --text out'
            raise ValueError(
                f'{model} was exported with text_input={self.meta["text_input"]}: '
                f'{advice}.'
            )
        self.text: dict[str, np.ndarray] = {}
        if text is not None:
            self.text = self._read_text(text)
        self.names, self.is_thing = self.meta['names'], self.meta['is_thing']
        if not is_class_list(self.names, self.is_thing):
            raise ValueError(
                f'{text or model} has no names and thing flags of classes.'
            )

    def _read_text(self, path: Path) -> dict[str, np.ndarray]:
        """Read text embeddings, and the names of the classes into the metadata."""
        arrays = load_arrays(path)
        for key in ('text_model', 'text_fingerprint'):
            found, needed = str(arrays[key]), self.meta[key]
            if found != needed:
                what = 'weights, templates or training classes of another model'
                if key == 'text_model':
                    what = f'{found}, the model needs those of {needed}'
                raise ValueError(
                    f'{path} was encoded by {what}: encode the classes with the config '
                    'and the checkpoint that the model was exported from.'
                )
        self.meta['names'] = arrays['names'].tolist()
        self.meta['is_thing'] = arrays['is_thing'].tolist()
        text = {name: arrays[name] for name in TEXT}
        rows, class_ids, seen = text.values()
        width = next(x.shape[1] for x in self.session.get_inputs() if x.name == 'text')
        num_classes = len(self.meta['names'])
        fits = (
            all(text[name].dtype.kind == kind for name, kind in TEXT.items())
            and rows.ndim == 2
            and rows.shape[1] == width
            and class_ids.shape == (len(rows),)
            and seen.shape == (num_classes,)
            and np.array_equal(np.unique(class_ids), np.arange(num_classes))
            and bool(np.isfinite(rows).all())
        )
        if not fits:
            raise ValueError(
                f'{path} is damaged: it needs finite rows of {width} numbers, each '
                'with a class, and every class with a name and a flag.'
            )
        return dict(
            text=rows.astype(np.float32),
            class_ids=class_ids.astype(np.int64),
            seen=seen,
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
        if scores.shape[-1] != len(self.names) + 1:
            raise ValueError(
                f'the model scores {scores.shape[-1] - 1} classes, but '
                f'{len(self.names)} are named.'
            )
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
        # The graph normalizes: the mean color becomes the 0 that models are padded by.
        canvas = np.empty((*padded, 3), np.float32)
        canvas[:] = self.meta['padding']
        canvas[:height, :width] = image
        images = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None])
        return images, Sizes(padded, (height, width), size)


def check_file(path: Path) -> None:
    """Raise ValueError where there is no regular file."""
    if not path.is_file():
        raise ValueError(
            f'{path} ' + ('is no file.' if path.exists() else 'is missing.')
        )


def read_meta(session: onnxruntime.InferenceSession, path: Path) -> dict[str, Any]:
    """Return the metadata of an exported graph."""
    described = session.get_modelmeta().custom_metadata_map.get('mmovseg')
    advice = 'export it with tools/deployment/export.py of this version.'
    try:
        meta = json.loads(described or '{}')
    except ValueError as error:
        raise ValueError(f'{path} has broken metadata: {advice}') from error
    version = meta.get('format') if isinstance(meta, dict) else None
    if version != FORMAT:
        raise ValueError(f'{path} says format {version}, not {FORMAT}: {advice}')
    wrong = [x for x, kind in META.items() if not isinstance(meta.get(x), kind)]
    for key, length in (('scale', 2), ('padding', 3)):
        values = meta[key] if key not in wrong else [0] * length
        if [isinstance(x, (int, float)) for x in values] != [True] * length:
            wrong.append(key)
    if wrong:
        raise ValueError(f'{path} has wrong metadata, {", ".join(wrong)}: {advice}')
    inputs = ['images', *(TEXT if meta['text_input'] else ())]
    found = [x.name for x in session.get_inputs()]
    if found != inputs or len(session.get_outputs()) != 2:
        raise ValueError(f'{path} has the inputs {found}, not {inputs}: {advice}')
    return {'names': None, 'is_thing': None, **meta}


def is_class_list(names: Any, is_thing: Any) -> bool:
    """Whether these are the names of classes and as many flags."""
    lists = isinstance(names, list) and isinstance(is_thing, list)
    return (
        lists
        and len(names) == len(is_thing) > 0
        and (
            all(isinstance(x, str) for x in names)
            and all(isinstance(x, bool) for x in is_thing)
        )
    )


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read a file of text embeddings; nothing in it is executed."""
    check_file(path)
    keys = (*TEXT, 'names', 'is_thing', 'text_model', 'text_fingerprint')
    try:
        with zipfile.ZipFile(path) as file:
            size = sum(x.file_size for x in file.infolist())
        if size > MAX_BYTES:
            raise ValueError(f'it unpacks to {size:,} bytes')
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in keys}
    except Exception as error:  # NumPy and zipfile raise many kinds on odd bytes
        raise ValueError(
            f'{path} holds no text embeddings of tools/deployment/export.py of this '
            f'version: {error}'
        ) from error


def resize_matrix(size: int, new_size: int, ratio: float | None = None) -> np.ndarray:
    """Return the bilinear mix of ``[new_size, size]`` (corners not aligned)."""
    ratio = np.float32(size / new_size if ratio is None else ratio)
    place = (np.arange(new_size, dtype=np.float32) + 0.5) * ratio - 0.5
    place = place.clip(0, size - 1)
    low = place.astype(int)
    matrix = np.zeros((new_size, size), np.float32)
    rows = np.arange(new_size)
    matrix[rows, low] = 1 - (place - low)
    matrix[rows, (low + 1).clip(max=size - 1)] += place - low
    return matrix


def sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over='ignore'):  # exp may be infinite; the result is 0 then
        return 1 / (1 + np.exp(-x))


def mask_strips(
    mask_logits: np.ndarray, sizes: Sizes, meta: dict, values: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Resize masks ``[N, h, w]`` to the photo, some of its rows at a time.

    Args:
        mask_logits: Of the queries that matter.
        sizes: To the padded input, cropped to the image, to the photo.
        meta: ``resize_probabilities`` takes the sigmoid before the last resize,
            ``one_step_resize`` has one resize.
        values: Numbers that the caller needs per pixel.

    Yields:
        Rows, and probabilities ``[N, rows, W]``.
    """
    lengths = list(zip(mask_logits.shape[1:], *sizes, strict=True))
    one_step = meta.get('one_step_resize', False)
    early = meta['resize_probabilities'] and not one_step
    if one_step:
        mix_rows, mix_columns = (
            resize_matrix(length, photo, length / padded * image / photo)
            for length, padded, image, photo in lengths
        )
    else:
        (to_rows, mix_rows), (to_columns, mix_columns) = (
            (resize_matrix(length, padded)[:image], resize_matrix(image, photo))
            for length, padded, image, photo in lengths
        )
    if early:
        mask_logits = sigmoid(to_rows @ mask_logits @ to_columns.T)
    elif not one_step:
        mix_rows, mix_columns = mix_rows @ to_rows, mix_columns @ to_columns
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
    """Color the segments of an RGB photo and write their names on them."""
    colors = photo.astype(np.float32)
    for segment in segments:
        hue = segment['id'] * 0.618034 % 1
        color = 255 * np.array(colorsys.hsv_to_rgb(hue, 0.8, 0.9))
        mask = label_map == segment['id']
        colors[mask] = 0.5 * colors[mask] + 0.5 * color
    image = Image.fromarray(colors.astype(np.uint8))
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
    partial = path.with_name(f'.{os.getpid()}.part')
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def to_png(image: Image.Image, source: str | None = None) -> bytes:
    info = PngInfo()
    if source is not None:
        info.add_text(SOURCE, source)
    buffer = io.BytesIO()
    image.save(buffer, format='PNG', pnginfo=info)
    return buffer.getvalue()


def find_photos(sources: list[Path]) -> list[Path]:
    """Replace folders by the images in them."""
    found: list[Path] = []
    for source in sources:
        inside = sorted(source.iterdir()) if source.is_dir() else [source]
        found += [
            x
            for x in inside
            if x == source
            or (x.suffix.lower() in EXTENSIONS and not x.name.startswith('.'))
        ]
    return found


def mark_of(photo: Path) -> str:
    """Return what a drawing says about its photo: a hash of the path."""
    return hashlib.sha256(os.fsencode(os.path.abspath(photo))).hexdigest()


def make_names(photos: list[Path], out_dir: Path) -> list[str]:
    """Name the files of every photo; a name that is taken gets a number."""
    there = (
        {x.name.casefold() for x in out_dir.iterdir()} if out_dir.is_dir() else set()
    )
    taken: set[str] = set()
    names: list[str] = []
    for path in photos:
        stem = printable(path.stem)
        name, number = stem, 2
        while name.casefold() in taken or (
            any(f'{name}{x}'.casefold() in there for x in ENDINGS)
            and not is_drawing_of(out_dir / f'{name}{ENDINGS[0]}', path)
        ):
            name, number = f'{stem}_{number}', number + 1
        taken.add(name.casefold())
        names.append(name)
    return names


def is_drawing_of(path: Path, photo: Path) -> bool:
    """Whether an earlier run has drawn this photo there."""
    try:
        with Image.open(path, formats=['PNG']) as image:
            return image.info.get(SOURCE) == mark_of(photo)
    except (OSError, ValueError, SyntaxError):  # there is none, or it is damaged
        return False


def printable(text: Any) -> str:
    """Replace what a terminal cannot print."""
    return ''.join(x if x.isprintable() else '_' for x in str(text))


def read_photo(path: Path) -> np.ndarray:
    """Read a photo as a viewer shows it: upright, 8 bits, transparency on white."""
    check_file(path)
    # From memory: Pillow turns some TIFFs wrongly that it maps from the disk.
    with Image.open(io.BytesIO(path.read_bytes()), formats=FORMATS) as file:
        file.load()  # turns a TIFF upright, so first
        image = ImageOps.exif_transpose(file)
    if image.mode.startswith('I;16') or image.mode in ('I', 'F'):
        image = Image.fromarray(eight_bits(np.asarray(image)))
    if image.mode == 'La':
        image = image.convert('LA')  # the only way out of this mode
    has_alpha = image.mode in ('LA', 'PA', 'RGBA', 'RGBa')
    if has_alpha or 'transparency' in image.info:
        image = image.convert('RGBA')
        white = Image.new('RGBA', image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert('RGB'))


def eight_bits(values: np.ndarray) -> np.ndarray:
    """Scale to 0..255: integers from 0..65535, floats from 0..1 (or 0..255)."""
    if np.issubdtype(values.dtype, np.floating):
        largest = values.max(initial=0, where=np.isfinite(values))
        values = np.nan_to_num(values, posinf=255, neginf=0)
        values = values * 255 if largest <= 1 else values
    elif values.dtype.itemsize == 2 or values.max() > 255:
        values = values / 257  # 65535 becomes 255
    return np.rint(values.clip(0, 255)).astype(np.uint8)


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
    labels = encode_labels(label_map, task, len(segmentor.names))
    drawing = to_png(draw(photo, label_map, segments), mark_of(path))
    overlay, label_file, record_file = (out_dir / f'{name}{x}' for x in ENDINGS)
    write(overlay, drawing)
    write(label_file, to_png(labels))
    write(record_file, f'{text}\n'.encode())
    classes = ', '.join(dict.fromkeys(x['name'] for x in segments))
    return f'{name}: {len(segments)} segments ({classes})'


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    out_dir = args.out_dir
    try:
        segmentor = Segmentor(args.model, args.text)
        photos = find_photos(args.photos)
        out_dir.mkdir(parents=True, exist_ok=True)
        if any(x.parent.exists() and x.parent.samefile(out_dir) for x in photos):
            raise ValueError(
                f'{out_dir} holds photos, and the next run would take the drawings for '
                'photos: choose another --out-dir.'
            )
        names = make_names(photos, out_dir)
    except (OSError, ValueError) as error:
        print(f'error: {printable(error)}', file=sys.stderr)
        return 2
    failed = not photos
    if failed:
        given = printable(', '.join(map(str, args.photos)))
        print(f'error: no photo in {given}', file=sys.stderr)
    for path, name in zip(photos, names, strict=True):
        try:
            print(segment_file(segmentor, path, name, args.task, out_dir))
        except (OSError, ValueError, MemoryError) as error:
            print(f'error: {printable(path)}: {printable(error)}', file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
