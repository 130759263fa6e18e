"""From a video file to a drawn video and a JSON file of its tracks."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..background_worker import BackgroundWorker
from ..fileio import atomic_path, printable
from ..labels.coco_instances import list_categories
from ..labels.json_lists import write_json_lists
from ..labels.photo_labels import PhotoLabels
from ..progress import Progress
from .output_folder import OutputError
from .video import FrameResult, VideoSegmenter
from .video_file import VideoReader, VideoWriter, import_av

OVERLAY, TRACKS = '_overlay.mp4', '_tracks.json'
WAITING = 4  # drawn frames that may wait to be encoded


@dataclass
class Track:
    """What is known of a track when the video has ended.

    Attributes:
        id: Of the track, from 1.
        label: Class index.
        name: Class name: that with the largest sum of scores.
        isthing: Whether it is a thing.
        first: Number of the first frame in the file.
        last: Number of the last one.
        frames: In how many frames it was found.
        score: The mean.
    """

    id: int
    label: int
    name: str
    isthing: bool
    first: int
    last: int
    frames: int
    score: float


@dataclass
class VideoSummary:
    """What came of a video.

    Attributes:
        clip: The file.
        frames: How many were segmented.
        seconds: From the first to the last one.
        tracks: All of them, in the order of appearance.
        overlay: The drawn video.
        json: The file of the tracks.
        problem: What is wrong with the file; empty for nothing.
    """

    clip: str
    frames: int
    seconds: float
    tracks: list[Track]
    overlay: str
    json: str
    problem: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def check_outputs(folder: Path, names: Iterable[str]) -> None:
    """Check that no result would be lost.

    Raises:
        OutputError: If one is there.
    """
    for name in names:
        for ending in (OVERLAY, TRACKS):
            path = folder / f'{name}{ending}'
            if os.path.lexists(path):
                raise OutputError(
                    f'{printable(path)} is there already: remove it, take another '
                    'folder (--out), or let it be replaced (--overwrite).'
                )


def segment_video(
    video: VideoSegmenter,
    clip: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    name: str,
    *,
    every: int = 1,
    made_by: str = 'mmovseg',
    show_progress: bool = True,
) -> VideoSummary:
    """Segment a video file; both files appear when all is done, or none.

    * ``NAME_overlay.mp4``: the segments drawn, with names and ids, without sound.
    * ``NAME_tracks.json``: as COCO's instances, an image per frame, with masks as RLE.
      ``track_id`` of annotations stays with an object, ``tracks`` lists all; ``time``
      of images is in seconds, ``frame_id`` counts the frames of the file from 0.

    Args:
        video: A new one.
        clip: The file.
        folder: Where the results go; files of these names are replaced.
        name: Start of their names.
        every: Take each so many-th frame only.
        made_by: What the JSON file says about the model.
        show_progress: Show how far the work is.

    Raises:
        ImageError: If no frame of the file can be used.
        OutputError: If a result cannot be written.
        ImportError: If PyAV is not installed.
    """
    overlay = Path(folder) / f'{name}{OVERLAY}'
    tracks = Path(folder) / f'{name}{TRACKS}'
    title = printable(Path(clip).name)
    with VideoReader(clip) as reader:
        rate = reader.rate and reader.rate / every
        total = -(-reader.count // every)
        progress = Progress(total, title, 'frame', disable=not show_progress)
        job = _Job(video, reader, title, every, progress)
        failures = (OSError, import_av().error.FFmpegError)
        try:
            # Both take the places of older ones when both are complete.
            with (
                progress,
                atomic_path(overlay) as overlay_draft,
                atomic_path(tracks) as tracks_draft,
            ):
                job.start()  # a file without frames leaves nothing
                with (
                    closing(VideoWriter(overlay_draft, rate)) as writer,
                    BackgroundWorker(WAITING) as background,
                ):
                    job.write(tracks_draft, writer, background, made_by)
        except failures as error:
            raise OutputError(
                f'Results cannot be written to {printable(folder)}: '
                f'{getattr(error, "strerror", None) or error}.'
            ) from error
    return VideoSummary(
        clip=os.fspath(clip),
        frames=len(job.times),
        seconds=job.times[-1],
        tracks=list(job.tracks.values()),
        overlay=str(overlay),
        json=str(tracks),
        problem=reader.problem,
    )


class _Job:
    """One video on its way; keeps eight bytes per frame, and its tracks."""

    def __init__(
        self,
        video: VideoSegmenter,
        reader: VideoReader,
        title: str,
        every: int,
        progress: Progress,
    ) -> None:
        self.video, self.reader, self.title = video, reader, title
        self.every, self.progress = every, progress
        self.times = array('d')
        self.tracks: dict[int, Track] = {}

    def start(self) -> None:
        """Segment the first frame."""
        self._results = self._segment()
        self._first = next(self._results)

    def _segment(self) -> Iterator[FrameResult]:
        for frame in islice(iter(self.reader), 0, None, self.every):
            yield self.video.update(frame.bgr, frame.time)

    def write(
        self, path: Path, writer: VideoWriter, background: BackgroundWorker, by: str
    ) -> None:
        """Write both files, frame by frame."""
        categories = list_categories(self.video.vocabulary)
        write_json_lists(
            path,
            dict(info=dict(description=by), categories=categories),
            dict(
                annotations=self._annotate(writer, background),
                images=self._list_images(),
                videos=self._list_videos(),
                tracks=self._list_tracks(),
            ),
        )

    def _annotate(
        self, writer: VideoWriter, background: BackgroundWorker
    ) -> Iterator[dict[str, Any]]:
        number = 0
        result: FrameResult | None = self._first
        while result is not None:
            assert result.time is not None
            self.times.append(result.time)
            background.run(_draw, writer, result)
            labels = PhotoLabels.from_result(result, self.title)
            pairs = zip(result.segments, labels.segments, strict=True)
            for segment, values in pairs:
                number += 1
                self._note(segment, result.index * self.every)
                yield dict(
                    id=number,
                    image_id=result.index + 1,
                    video_id=1,
                    track_id=segment.id,
                    category_id=segment.label + 1,
                    bbox=segment.box,
                    area=segment.area,
                    iscrowd=0,
                    score=segment.score,
                    segmentation=values['mask'],
                )
            self.progress.update()
            result = next(self._results, None)

    def _note(self, segment: Any, frame: int) -> None:
        track = self.tracks.get(segment.id)
        if track is None:
            kind = segment.label, segment.name, segment.isthing
            track = Track(segment.id, *kind, frame, frame, 0, 0.0)
            self.tracks[segment.id] = track
        track.frames += 1
        track.score += (segment.score - track.score) / track.frames
        track.last, track.label, track.name = frame, segment.label, segment.name

    def _list_images(self) -> Iterator[dict[str, Any]]:
        for index, time in enumerate(self.times):
            frame = index * self.every
            yield dict(
                id=index + 1,
                video_id=1,
                frame_id=frame,
                file_name=f'{self.title}/{frame:06}',
                time=round(time, 6),
                height=self.reader.height,
                width=self.reader.width,
            )

    def _list_videos(self) -> Iterator[dict[str, Any]]:
        rate = self.reader.rate
        yield dict(
            id=1,
            name=self.title,
            height=self.reader.height,
            width=self.reader.width,
            length=len(self.times),
            frame_rate=None if rate is None else round(float(rate), 6),
            problem=self.reader.problem,
        )

    def _list_tracks(self) -> Iterator[dict[str, Any]]:
        for track in self.tracks.values():
            yield dict(
                id=track.id,
                video_id=1,
                category_id=track.label + 1,
                first_frame=track.first,
                last_frame=track.last,
                frames=track.frames,
                score=track.score,
            )


def _draw(writer: VideoWriter, result: FrameResult) -> None:
    assert result.time is not None
    writer.write(result.overlay(), result.time)
