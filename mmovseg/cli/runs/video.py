"""Segment videos."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ...apis import ImageError, OutputError
from ...apis.output_folder import OutputFolder, make_names
from ...apis.video import VideoSegmenter
from ...apis.video_file import import_av
from ...apis.video_run import VideoSummary, check_outputs, segment_video
from ...command_line import (
    BAD_INPUT,
    FAILED,
    NOT_WRITTEN,
    print_json,
    print_table,
    without_log,
)
from ...fileio import printable, printable_lines
from ...version import __version__
from .models import load_model

HEAD = ('track', 'name', 'kind', 'score', 'frames', 'first', 'last')
SHOWN = 20  # tracks of a video; all are in its JSON file


def run(args: argparse.Namespace) -> int:
    """Segment; return the exit status."""
    try:
        return _run(args)
    except OutputError as error:
        return _fail(error, NOT_WRITTEN)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        return _fail(error, BAD_INPUT)


def _fail(error: Exception | str, status: int) -> int:
    print(f'error: {printable_lines(str(error))}', file=sys.stderr)
    return status


def _run(args: argparse.Namespace) -> int:
    import_av()  # and the folder: found out before the model is loaded
    names = make_names(args.clips)
    done: list[VideoSummary] = []
    errors: list[dict[str, str]] = []
    with OutputFolder(args.out):
        if not args.overwrite:
            check_outputs(Path(args.out), names)
        inferencer = load_model(args, vocabulary=args.classes)
        for clip, name in zip(args.clips, names, strict=True):
            video = VideoSegmenter(
                inferencer,
                score_thr=args.score_thr,
                min_area=args.min_area,
                memory=args.memory,
                embed=not args.no_embedding,
            )
            try:
                with without_log():
                    summary = segment_video(
                        video,
                        clip,
                        args.out,
                        name,
                        every=args.every,
                        made_by=f'mmovseg {__version__}, {args.model}',
                    )
            except ImageError as error:
                errors.append(dict(input=clip, message=str(error)))
                continue
            done.append(summary)
            if summary.problem:
                errors.append(dict(input=clip, message=summary.problem))
            if not args.json:
                print_summary(summary)
    if args.json:
        clips: list[dict[str, Any]] = [summary.to_dict() for summary in done]
        print_json(dict(folder=args.out, videos=clips, errors=errors))
    elif done:
        print(f'{len(done)} videos done; drawings, tracks: {printable(args.out)}')
    for failed in errors:
        _fail(failed['message'], FAILED)
    return FAILED if errors else 0


def print_summary(summary: VideoSummary) -> None:
    """Print a table of the tracks of a video, those of most frames first."""
    clip, count = printable(summary.clip), len(summary.tracks)
    print(f'{clip}: {summary.frames} frames, {summary.seconds:.2f} s, {count} tracks')
    tracks = sorted(summary.tracks, key=lambda x: -x.frames)[:SHOWN]
    rows = [
        (
            str(x.id),
            x.name,
            'thing' if x.isthing else 'stuff',
            f'{x.score:.2f}',
            str(x.frames),
            str(x.first),
            str(x.last),
        )
        for x in tracks
    ]
    if rows:
        print_table([HEAD, *rows])
    if count > SHOWN:
        print(f'... {count} in all, see {printable(Path(summary.json).name)}.')
    print()
