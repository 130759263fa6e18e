"""Large GeoTIFFs: read window by window, and written with the same place on Earth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..fileio import atomic_path, check_writable, printable
from ..vocabulary import Vocabulary
from .images import ImageError
from .inferencer import OVSegInferencer
from .results import Result, check_limits
from .tiles import check_task, make_canvas, split


def segment_geotiff(
    inferencer: OVSegInferencer,
    source: str | Path,
    target: str | Path,
    vocabulary: Vocabulary | str | Path | Sequence[str] | None = None,
    *,
    task: str = 'semantic',
    bands: tuple[int, int, int] = (1, 2, 3),
    tile: int = 1024,
    overlap: int = 256,
    score_thr: float | None = None,
    min_area: float = 0.0,
) -> Result:
    """Segment a GeoTIFF by windows that overlap, into a GeoTIFF of the same place.

    Only a window of the picture is in memory at a time, and the label map. The result
    has the coordinate system and the position of the picture. Its tag ``MMOVSEG_NAMES``
    is a JSON list of the class names, ``MMOVSEG_SEGMENTS`` one of the segments.

    Args:
        inferencer: The model.
        source: The picture, 8 bits per band.
        target: The label map, which replaces a file of this name. Semantic: class
            indices, 255 (65535 for 255 classes and more) where the picture has no
            data. Panoptic: numbers of segments, 0 for none.
        vocabulary: The classes, as in :meth:`OVSegInferencer.segment`.
        task: ``'semantic'`` or ``'panoptic'``.
        bands: Numbers of red, green and blue, from 1.
        tile: See :func:`segment_tiles`.
        overlap: The same.
        score_thr: The same.
        min_area: The same; of pixels with data and without.

    Returns:
        The result, without the picture.

    Raises:
        ImageError: If the file cannot be read, or has other bands.
        ImportError: If rasterio is not installed; the message says how to.
        OSError: If the target cannot be written, which is tried out first.
        ValueError: If a tile is too small, there is no such task, or the target is the
            picture.
    """
    try:
        import rasterio
    except ImportError as error:
        raise ImportError(
            "GeoTIFFs need rasterio: pip install 'mmovseg[geotiff]'."
        ) from error
    check_task(task)
    check_limits(min_area, score_thr)
    check_writable(target, [source])
    try:
        with rasterio.open(source) as file:
            _check_bands(file, source, bands)
            result, empty = _segment(
                inferencer,
                file,
                vocabulary,
                task=task,
                bands=bands,
                sides=(tile, overlap),
                score_thr=score_thr,
                min_area=min_area,
            )
            place = dict(crs=file.crs, transform=file.transform)
    except rasterio.errors.RasterioIOError as error:
        raise ImageError(f'{printable(source)} cannot be read: {error}') from error
    result = replace(result, photo=Path(source).stem)
    _write(Path(target), result, place, empty)
    return result


def _check_bands(file: Any, source: str | Path, bands: Sequence[int]) -> None:
    missing = [band for band in bands if not 1 <= band <= file.count]
    if missing:
        raise ImageError(
            f'{printable(source)} has {file.count} bands, so there is no band '
            f'{missing[0]}: choose red, green and blue by bands=(R, G, B).'
        )
    types = {file.dtypes[band - 1] for band in bands}
    if types != {'uint8'}:
        raise ImageError(
            f'{printable(source)} has bands of type {", ".join(sorted(types))}, but a '
            'model takes 8 bits: rescale it first, such as with gdal_translate -scale.'
        )


def _segment(
    inferencer: OVSegInferencer,
    file: Any,
    vocabulary: Any,
    *,
    task: str,
    bands: Sequence[int],
    sides: tuple[int, int],
    score_thr: float | None,
    min_area: float,
) -> tuple[Result, np.ndarray]:
    """Return the result, and where the picture has no data, bool ``[H, W]``."""
    canvas = make_canvas(task, file.height, file.width, sides[1])
    empty = np.zeros((file.height, file.width), bool)
    for place in split(file.height, file.width, *sides):
        window = tuple((x.start, x.stop) for x in (place.rows, place.columns))
        colors = file.read(list(bands), window=window)  # [3, h, w]
        valid = file.read_masks(list(bands), window=window).all(0)
        empty[place.rows, place.columns] = ~valid
        image = np.ascontiguousarray(colors.transpose(1, 2, 0)[..., ::-1])  # BGR
        canvas.add(
            place,
            inferencer.segment(
                image,
                vocabulary,
                task=task,
                score_thr=score_thr,
                top_classes=task == 'semantic',
            ),
        )
    return canvas.finish(min_area), empty


def _write(
    target: Path, result: Result, place: Mapping[str, Any], empty: np.ndarray
) -> None:
    import rasterio

    labels = result.label_map
    height, width = labels.shape
    kind, nodata = 'int32', 0
    if result.task == 'semantic':
        kind, nodata = ('uint8', 255) if len(result.names) < 255 else ('uint16', 65535)
    profile = dict(
        driver='GTiff',
        height=height,
        width=width,
        count=1,
        dtype=kind,
        **place,
        nodata=nodata,
        compress='deflate',
        tiled=height >= 16 and width >= 16,
        blockxsize=256,
        blockysize=256,
    )
    with atomic_path(target) as path, rasterio.open(path, 'w', **profile) as out:
        out.write(np.where(empty, nodata, labels).astype(kind), 1)
        out.update_tags(
            MMOVSEG_NAMES=json.dumps(list(result.names)),
            MMOVSEG_SEGMENTS=json.dumps([x.to_dict() for x in result.segments]),
        )
