"""Segment photos; ``demo/image_demo.py`` does it the same way."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...apis import ImageError, OutputError, OVSegInferencer
from ...apis.geotiff import segment_geotiff
from ...apis.images import list_sources
from ...apis.output_folder import make_names, open_folder
from ...apis.results import make_table
from ...apis.tiles import segment_tiles
from ...command_line import (
    BAD_INPUT,
    FAILED,
    NOT_WRITTEN,
    counted,
    print_json,
    print_table,
    without_log,
)
from ...fileio import check_writable, printable, printable_lines
from .models import load_model

HEAD = ('name', 'kind', 'score', 'area', 'x y width height')


def run(args: argparse.Namespace) -> int:
    """Segment; return the exit status."""

    def find_photos() -> Sequence[str]:
        return args.photos

    return segment_photos(args, find_photos, print_results)


def segment_photos(
    args: argparse.Namespace,
    find_photos: Callable[[], Sequence[str]],
    show: Callable[[argparse.Namespace, Mapping[str, list]], None],
) -> int:
    """Segment photos into files; return the exit status.

    Args:
        args: Options of the command ``predict``.
        find_photos: Returns the photos, when the model is there.
        show: Prints the results.
    """
    try:
        # Found out before the model is loaded.
        if args.geotiff is not None:
            try:
                check_writable(args.geotiff, args.photos)
            except OSError as error:
                raise OutputError(str(error)) from error
        else:
            with open_folder(args.out, args.photos):
                pass
        inferencer = load_model(args, vocabulary=args.classes)
        photos = list(find_photos())
        with without_log():
            results = (
                segment_one_geotiff(args, inferencer, photos[0])
                if args.geotiff is not None
                else segment_by_tiles(args, inferencer, photos)
                if args.tile is not None
                else inferencer(
                    photos,
                    args.batch_size,
                    task=args.task,
                    out_dir=args.out,
                    score_thr=args.score_thr,
                    min_area=args.min_area,
                    show_heatmaps=args.show_heatmaps,
                )
            )
    except ImageError as error:
        return _fail(error, FAILED)
    except OutputError as error:
        return _fail(error, NOT_WRITTEN)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        return _fail(error, BAD_INPUT)
    show(args, results)
    for failed in results['errors']:
        print(f'error: {printable_lines(failed["message"])}', file=sys.stderr)
    return FAILED if results['errors'] else 0


def segment_one_geotiff(
    args: argparse.Namespace, inferencer: OVSegInferencer, photo: str
) -> dict[str, list]:
    """Segment a GeoTIFF into another one; returns what the inferencer returns."""
    result = segment_geotiff(
        inferencer,
        photo,
        args.geotiff,
        task=args.task,
        tile=args.tile,
        overlap=args.tile // 4,
        score_thr=args.score_thr,
        min_area=args.min_area,
    )
    return dict(predictions=[result.to_dict(result.photo)], errors=[])


def segment_by_tiles(
    args: argparse.Namespace, inferencer: OVSegInferencer, photos: Sequence[str]
) -> dict[str, list]:
    """Segment photos by tiles into files; returns what the inferencer returns."""
    sources = list_sources(photos)
    predictions: list[Any] = []
    errors: list[dict[str, str]] = []
    with open_folder(args.out, sources) as folder:
        assert folder is not None
        for source, name in zip(sources, make_names(sources, folder), strict=True):
            try:
                result = segment_tiles(
                    inferencer,
                    source,
                    task=args.task,
                    tile=args.tile,
                    overlap=args.tile // 4,
                    score_thr=args.score_thr,
                    min_area=args.min_area,
                )
            except ImageError as error:
                errors.append(dict(input=str(source), message=str(error)))
                predictions.append(None)
                continue
            assert result.image is not None
            saved = folder.save(name, source, result.image, result)
            predictions.append(result.to_dict(saved))
    if len(errors) == len(sources):
        raise ImageError('\n'.join(error['message'] for error in errors))
    return dict(predictions=predictions, errors=errors)


def _fail(error: Exception, status: int) -> int:
    print(f'error: {printable_lines(str(error))}', file=sys.stderr)
    return status


def print_results(args: argparse.Namespace, results: Mapping[str, list]) -> None:
    """Print a table of the segments of every photo, or JSON."""
    done: list[dict[str, Any]] = [x for x in results['predictions'] if x is not None]
    if args.json:
        place = args.out if args.geotiff is None else args.geotiff
        print_json(dict(folder=place, photos=done, errors=results['errors']))
        return
    for result in done:
        number = counted(len(result['segments']), 'segment')
        print(f'{printable(result["image"])}: {number}')
        if result['segments']:
            print_table([HEAD, *make_table(result)])
        print()
    if args.geotiff is not None:
        print(f'Label map: {printable(args.geotiff)}')
        return
    photos = counted(len(done), 'photo')
    print(f'{photos} done; drawings, label maps, lists: {args.out}')
