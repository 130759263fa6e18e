"""Results of a data sample as plain values and as files."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.structures import BaseDataElement
from PIL import Image
from pycocotools import mask as rle
from scipy.ndimage import distance_transform_edt, find_objects

from ..labels import write_labels
from ..labels.photo_labels import PhotoLabels
from ..vocabulary import Vocabulary
from .images import write_json, write_png
from .visualization import draw_instances, draw_panoptic, draw_semantic, name_color

TASKS = ('panoptic', 'instance', 'semantic')
# mmdet's default; the other tasks have one segment per pixel and show all.
SCORE_THR = dict(panoptic=0.0, instance=0.3, semantic=0.0)


def check_limits(min_area: float, score_thr: float | None = None) -> None:
    """Raise a ValueError unless both are what :func:`read_result` takes."""
    if score_thr is not None and not 0 <= score_thr <= 1:
        raise ValueError(f'score_thr is from 0 to 1, got {score_thr}.')
    if not 0 <= min_area < float('inf'):
        raise ValueError(
            'min_area is a number of pixels, or below 1 a share of the photo, got '
            f'{min_area}; 0 keeps all.'
        )


def least_pixels(min_area: float, height: int, width: int) -> float:
    """Return how many pixels a segment needs to stay.

    Args:
        min_area: Pixels, or below 1 a share of the photo. 0 keeps all.
        height: Of the photo.
        width: Of the photo.
    """
    check_limits(min_area)
    return min_area * height * width if min_area < 1 else min_area


@dataclass(frozen=True, eq=False)
class Segment(Mapping[str, Any]):
    """A segment of a photo; ``segment['name']`` is the same as ``segment.name``.

    Attributes:
        id: Its number in the label map.
        label: Class index.
        name: Class name.
        isthing: Whether the class is a thing.
        score: 0 to 1; None for semantic results.
        area: Pixels.
        box: x, y, width, height.
        mask: The whole mask as COCO's compressed RLE; instances only.
    """

    id: int
    label: int
    name: str
    isthing: bool
    score: float | None
    area: int
    box: list[int]
    mask: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as the JSON file has them."""
        return dict(self)

    def __getitem__(self, key: str) -> Any:
        if key in self._keys():
            return getattr(self, key)
        raise KeyError(f'A segment has no {key!r}; it has {", ".join(self)}.')

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def _keys(self) -> list[str]:
        names = [field.name for field in fields(self)]
        return names if self.mask is not None else names[:-1]


@dataclass(frozen=True, eq=False)
class Result:
    """The result of one task for one image.

    Attributes:
        task: ``'panoptic'``, ``'instance'`` or ``'semantic'``.
        label_map: ``[H, W]``. Panoptic and instance: the ``id`` of a segment, 0 for
            none; where instances overlap, that of the best. Semantic: class indices.
        segments: Best score first where there are scores.
        names: Class names.
        is_thing: Thing flags of the classes.
        image: The photo, RGB, uint8, ``[H, W, 3]``; None if it is not kept.
        photo: What the photo is called.
        path: Its file; None if it has none.
        top_labels: The most likely classes of every pixel, ``[k, H, W]`` int32, best
            first; None if they were not asked for.
        top_probabilities: Theirs, float32; all classes and void sum up to 1.
    """

    task: str
    label_map: np.ndarray
    segments: list[Segment]
    names: tuple[str, ...]
    is_thing: tuple[bool, ...] = ()
    image: np.ndarray | None = None
    photo: str = 'image'
    path: Path | None = None
    top_labels: np.ndarray | None = None
    top_probabilities: np.ndarray | None = None

    def to_dict(self, image: str = '') -> dict[str, Any]:
        """Return the content of the JSON file."""
        height, width = self.label_map.shape
        return dict(
            image=image,
            height=height,
            width=width,
            task=self.task,
            segments=[segment.to_dict() for segment in self.segments],
        )

    def overlay(self) -> np.ndarray:
        """Draw the segments on the photo; returns RGB with a legend, uint8."""
        return self.draw(self._get_image())

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draw on an RGB image of the same size; returns RGB with a legend."""
        if self.task == 'semantic':
            return draw_semantic(image, self.label_map, self.names)
        if self.task == 'instance':
            return draw_instances(
                image,
                [rle.decode(segment.mask) for segment in self.segments],
                [segment.label for segment in self.segments],
                self.names,
                scores=[segment.score or 0.0 for segment in self.segments],
            )
        infos = [dict(x, category_id=x.label) for x in self.segments]
        return draw_panoptic(image, self.label_map, infos, self.names)

    def save(
        self,
        folder: str | Path,
        name: str | None = None,
        image: np.ndarray | None = None,
        text: Mapping[str, str] | None = None,
    ) -> list[Path]:
        """Write overlay, label map and segments.

        * ``NAME_overlay.png``: the drawing.
        * ``NAME_labels.png``: the label map. Panoptic: ids as COCO does it, ``id = R +
          256 * G + 65536 * B``. Others: grey, 8 bits for fewer than 255 classes or
          instances, else 16.
        * ``NAME.json``: :meth:`to_dict`.

        Args:
            folder: Made if missing.
            name: Start of the file names; files of these names are replaced. None takes
                that of the photo, or the next free one if others have it, and replaces
                results of this photo file only.
            image: RGB. None takes the photo.
            text: What the overlay says about itself; see :func:`write_png`.

        Returns:
            The paths, in this order.

        Raises:
            OutputError: If ``name`` is None and the folder cannot be written, or the
                photo is in it.
        """
        folder = Path(folder)
        if name is None:
            name = self._save_beside_others(folder, image, text)
            return [
                folder / f'{name}{x}' for x in ('_overlay.png', '_labels.png', '.json')
            ]
        overlay = folder / f'{name}_overlay.png'
        labels, segments = folder / f'{name}_labels.png', folder / f'{name}.json'
        drawn = self.overlay() if image is None else self.draw(image)
        write_png(overlay, drawn, text)
        write_png(labels, self.encode_labels())
        write_json(segments, self.to_dict(name))
        return [overlay, labels, segments]

    def _save_beside_others(
        self, folder: Path, image: np.ndarray | None, text: Mapping[str, str] | None
    ) -> str:
        from .output_folder import OutputFolder  # which takes results

        out = OutputFolder(folder)
        out.check_sources([self.path])
        wanted = self.photo if self.path is not None else f'{self.photo}_0'
        [name] = out.choose_names([self.path], [wanted])
        image = self._get_image() if image is None else image
        return out.save(name, self.path, image, self, text=text)

    def save_labels(self, folder: str | Path, *formats: str) -> list[Path]:
        """Write label files that other tools read; see :mod:`mmovseg.labels`.

        Args:
            folder: The files go to ``FOLDER/FORMAT/``, over those of another photo.
            formats: Names of :data:`mmovseg.labels.FORMATS`.

        Returns:
            The folders of the formats.

        Raises:
            ValueError: If a format is unknown or cannot have these classes.
        """
        file_name = self.path.name if self.path is not None else f'{self.photo}.png'
        labels = PhotoLabels.from_result(self, file_name, self.path)
        vocabulary = Vocabulary(tuple((x,) for x in self.names), self.is_thing)
        return write_labels(formats, [labels], vocabulary, folder)

    def masks(self) -> np.ndarray:
        """Return the mask of every segment, bool, ``[N, H, W]``."""
        masks = [
            self.label_map == x.id if x.mask is None else rle.decode(x.mask) > 0
            for x in self.segments
        ]
        shape = len(masks), *self.label_map.shape
        return np.asarray(masks, bool).reshape(shape)

    def to_numpy(self) -> dict[str, np.ndarray]:
        """Return plain arrays, as maps of robots take them.

        Returns:
            ``classes`` (``[H, W]`` int32: class index, -1 for none), ``instances``
            (``[H, W]`` int32: number of the thing, 0 for stuff and none), ``colors``
            (``[K, 3]`` uint8 RGB by class; the same for a name in every call) and,
            where asked for, ``top_labels`` and ``top_probabilities``.
        """
        size = int(self.label_map.max(initial=0)) + 1
        classes, instances = np.full(size, -1, np.int32), np.zeros(size, np.int32)
        for segment in self.segments:
            classes[segment.id] = segment.label
            instances[segment.id] = segment.id if segment.isthing else 0
        semantic = self.task == 'semantic'
        arrays = dict(
            classes=self.label_map if semantic else classes[self.label_map],
            instances=np.zeros_like(self.label_map)
            if semantic
            else instances[self.label_map],
            colors=np.asarray([name_color(x) for x in self.names], np.uint8),
        )
        if self.top_labels is not None and self.top_probabilities is not None:
            arrays['top_labels'] = self.top_labels
            arrays['top_probabilities'] = self.top_probabilities
        return arrays

    def to_supervision(self) -> Any:
        """Return ``supervision.Detections`` with masks and the names as data.

        Raises:
            ImportError: If supervision is not installed; the message says how to.
        """
        try:
            import supervision
        except ImportError as error:
            raise ImportError(
                "to_supervision needs supervision: pip install 'mmovseg[supervision]'."
            ) from error
        boxes = np.asarray([x.box for x in self.segments], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        scores = [x.score for x in self.segments]
        return supervision.Detections(
            xyxy=boxes,
            mask=self.masks(),
            confidence=None if None in scores else np.asarray(scores, np.float32),
            class_id=np.asarray([x.label for x in self.segments], int),
            data=dict(class_name=np.asarray([x.name for x in self.segments], str)),
        )

    def table(self) -> list[tuple[str, ...]]:
        """Return name, kind, score, share of the photo and box of every segment."""
        return make_table(self.to_dict())

    def _repr_html_(self) -> str:
        """Show the drawing and a table in a notebook."""
        rows = [('name', 'kind', 'score', 'area', 'box'), *self.table()]
        cells = (''.join(f'<td>{html.escape(x)}</td>' for x in row) for row in rows)
        table = ''.join(f'<tr>{row}</tr>' for row in cells)
        drawing = self._repr_png_()
        picture = ''
        if drawing is not None:
            code = base64.b64encode(drawing).decode()
            picture = f'<img src="data:image/png;base64,{code}">'
        return f'{picture}<table>{table}</table>'

    def _repr_png_(self) -> bytes | None:
        """Show the drawing in a notebook, if the photo is kept."""
        if self.image is None:
            return None
        buffer = io.BytesIO()
        Image.fromarray(self.overlay()).save(buffer, format='PNG')
        return buffer.getvalue()

    def _get_image(self) -> np.ndarray:
        if self.image is None:
            raise ValueError('The photo is not kept in this result: use draw(image).')
        return self.image

    def encode_labels(self) -> np.ndarray:
        """Return the label map as the array of a PNG; see :meth:`save`."""
        if self.task == 'panoptic':
            ids = self.label_map.astype(np.int64)
            channels = [ids % 256, ids // 256 % 256, ids // 65536]
            return np.stack(channels, -1).astype(np.uint8)
        semantic = self.task == 'semantic'
        count = len(self.names) if semantic else len(self.segments)
        return self.label_map.astype(np.uint8 if count < 255 else np.uint16)


def read_result(
    sample: BaseDataElement,
    task: str,
    names: Sequence[str],
    *,
    is_thing: Sequence[bool],
    score_thr: float | None = None,
    min_area: float = 0.0,
) -> Result:
    """Take the result of a task from a data sample.

    Args:
        sample: With the field of the task, as :class:`MaskFusion` fills it.
        task: ``'panoptic'``, ``'instance'`` or ``'semantic'``.
        names: Class names.
        is_thing: Thing flags.
        score_thr: Drop segments with a lower score. None: 0.3 for instances, else 0.
            Semantic results have no scores.
        min_area: Drop segments with fewer pixels; below 1, with a smaller share of the
            photo. Their pixels belong to none; in semantic results they go to the
            nearest class that stays, and if none would stay, all do.

    Returns:
        The result.

    Raises:
        ValueError: If there is no such task, the sample has no such result, or
            ``min_area`` is negative.
    """
    readers = dict(panoptic=_read_panoptic, instance=_read_instances)
    readers['semantic'] = _read_semantic
    if task not in readers:
        raise ValueError(f'task must be one of {TASKS}, got {task!r}.')
    field = _FIELDS[task]
    if field not in sample:
        raise ValueError(f'The model gave no {field}, so there is no {task} result.')
    threshold = SCORE_THR[task] if score_thr is None else score_thr
    label_map, found = readers[task](getattr(sample, field), threshold, min_area)
    segments = [
        Segment(name=names[x['label']], isthing=bool(is_thing[x['label']]), **x)
        for x in found
    ]
    flags = tuple(map(bool, is_thing))
    result = Result(task, label_map, segments, tuple(names), flags)
    if 'pred_top_classes' not in sample:
        return result
    top = sample.pred_top_classes
    return replace(
        result,
        top_labels=top.labels.cpu().numpy().astype(np.int32),
        top_probabilities=top.probabilities.cpu().numpy(),
    )


def make_table(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return name, kind, score, share of the photo and box of every segment.

    Args:
        result: What :meth:`Result.to_dict` returns.
    """
    pixels = result['height'] * result['width']
    return [
        (
            x['name'],
            'thing' if x['isthing'] else 'stuff',
            '' if x['score'] is None else f'{x["score"]:.2f}',
            f'{x["area"] / pixels:.1%}',
            ' '.join(map(str, x['box'])),
        )
        for x in result['segments']
    ]


def find_task(sample: BaseDataElement) -> str:
    """Return the first task that a data sample has the result of.

    Raises:
        ValueError: If there is no result.
    """
    for task in TASKS:
        if _FIELDS[task] in sample:
            return task
    raise ValueError(
        'There is no result to draw: switch panoptic, instance or semantic on in '
        'model.fusion.'
    )


_FIELDS = dict(
    panoptic='pred_panoptic_seg', instance='pred_instances', semantic='pred_sem_seg'
)


def _read_panoptic(
    result: Any, score_thr: float, min_area: float
) -> tuple[np.ndarray, list[dict]]:
    codes = result.sem_seg[0].cpu().numpy()
    least = least_pixels(min_area, *codes.shape)
    kept = [
        x
        for x in result.segments_info
        if x['score'] >= score_thr and x['area'] >= least
    ]
    kept.sort(key=lambda x: -x['score'])
    # Our codes grow with the class count; running numbers always fit a PNG.
    sorted_codes = np.array(sorted(x['id'] for x in kept), dtype=codes.dtype)
    number = {x['id']: i for i, x in enumerate(kept, 1)}
    label_map = np.zeros(codes.shape, np.int32)
    if kept:
        place = np.searchsorted(sorted_codes, codes).clip(max=len(kept) - 1)
        numbers = np.array([number[int(code)] for code in sorted_codes])
        label_map = np.where(sorted_codes[place] == codes, numbers[place], 0)
    boxes = find_boxes(label_map)
    segments = [
        dict(
            id=i,
            label=int(x['category_id']),
            score=float(x['score']),
            area=int(x['area']),
            box=boxes[i],
        )
        for i, x in enumerate(kept, 1)
    ]
    return label_map.astype(np.int32), segments


def _read_semantic(
    result: Any, score_thr: float, min_area: float
) -> tuple[np.ndarray, list[dict]]:
    return number_classes(result.sem_seg[0].cpu().numpy(), min_area)


def number_classes(
    labels: np.ndarray, min_area: float
) -> tuple[np.ndarray, list[dict]]:
    """Return the label map of a semantic result without small classes, and its classes.

    Args:
        labels: Class indices, ``[H, W]``.
        min_area: See :func:`read_result`.
    """
    areas = np.bincount(labels.ravel())
    small = (areas < least_pixels(min_area, *labels.shape))[labels]
    if small.any() and not small.all():
        nearest = distance_transform_edt(
            small, return_distances=False, return_indices=True
        )
        labels = labels[tuple(nearest)]
        areas = np.bincount(labels.ravel())
    boxes = find_boxes(labels + 1)
    segments = [
        dict(id=i - 1, label=i - 1, score=None, area=int(areas[i - 1]), box=box)
        for i, box in boxes.items()
    ]
    return labels.astype(np.int32), segments


def _read_instances(
    result: Any, score_thr: float, min_area: float
) -> tuple[np.ndarray, list[dict]]:
    scores = result.scores.float().cpu()
    areas = result.masks.flatten(1).sum(1).tolist()
    least = least_pixels(min_area, *result.masks.shape[1:])
    order = scores.argsort(descending=True, stable=True)
    order = [i for i in order.tolist() if scores[i] >= score_thr and areas[i] >= least]
    masks = result.masks[order].cpu().numpy()
    label_map = np.zeros(masks.shape[1:], np.int32)
    segments = []
    for number, (i, mask) in enumerate(zip(order, masks, strict=True), 1):
        coded = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
        x1, y1, x2, y2 = (int(x) for x in result.bboxes[i].tolist())
        segments.append(
            dict(
                id=number,
                label=int(result.labels[i]),
                score=float(scores[i]),
                area=areas[i],
                box=[x1, y1, x2 - x1, y2 - y1],
                mask=dict(size=coded['size'], counts=coded['counts'].decode()),
            )
        )
        label_map[mask & (label_map == 0)] = number
    return label_map, segments


def find_boxes(numbers: np.ndarray) -> dict[int, list[int]]:
    """Return x, y, width, height of every positive number that occurs."""
    boxes = {}
    for number, place in enumerate(find_objects(numbers.astype(np.int32)), 1):
        if place is not None:
            rows, columns = place
            x, y = columns.start, rows.start
            boxes[number] = [x, y, columns.stop - x, rows.stop - y]
    return boxes
