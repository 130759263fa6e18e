"""Print and draw where the names of segments come from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ...analysis.explain import Explanation, draw_explanations, explain
from ...apis import ImageError, OutputError
from ...apis.images import list_sources, write_png
from ...apis.output_folder import OutputFolder, describe_source
from ...command_line import (
    BAD_INPUT,
    FAILED,
    NOT_WRITTEN,
    counted,
    print_json,
    without_log,
)
from ...fileio import printable, printable_lines
from .models import load_model

ENDING = '_explained.png'


def run(args: argparse.Namespace) -> int:
    """Explain every photo; return the exit status."""
    args.fast = None  # the exact way
    report: dict[str, list] = dict(photos=[], errors=[])
    try:
        with OutputFolder(args.out, (ENDING,)) as folder:
            folder.check_sources(args.photos)
            inferencer = load_model(args, vocabulary=args.classes)
            for photo in list_sources(list(args.photos)):
                try:
                    with without_log():
                        result, found = explain(inferencer, photo, nearest=args.nearest)
                except ImageError as error:
                    _fail(error, FAILED)
                    report['errors'].append(dict(input=photo, message=str(error)))
                    continue
                if found:
                    with folder.claim(result.photo, photo) as name:
                        drawn = draw_explanations(result, found)
                        path = folder.path / f'{name}{ENDING}'
                        write_png(path, drawn, describe_source(photo))
                report['photos'].append(dict(image=result.photo, segments=found))
                if not args.json:
                    _show(result.photo, found)
    except ImageError as error:
        return _fail(error, FAILED)
    except OutputError as error:
        return _fail(error, NOT_WRITTEN)
    except (ValueError, OSError, RuntimeError) as error:
        return _fail(error, BAD_INPUT)
    if args.json:
        for photo in report['photos']:
            photo['segments'] = [_to_dict(x) for x in photo['segments']]
        print_json(dict(folder=args.out, **report))
    else:
        done = counted(len(report['photos']), 'photo')
        print(f'{done} done; drawings: {Path(args.out)}')
    return FAILED if report['errors'] else 0


def _show(photo: str, found: list[Explanation]) -> None:
    print(f'{printable(photo)}: {counted(len(found), "segment")}')
    for explanation in found:
        print(printable_lines(str(explanation)))
    print()


def _to_dict(explanation: Explanation) -> dict[str, Any]:
    return dict(
        **explanation.segment.to_dict(),
        void=explanation.void,
        nearest=[x._asdict() for x in explanation.nearest],
    )


def _fail(error: Exception, status: int) -> int:
    print(f'error: {printable_lines(str(error))}', file=sys.stderr)
    return status
