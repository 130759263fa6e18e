"""Segment a stream of frames; ids stay with an object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..vocabulary import Vocabulary
from .images import ImageError
from .inferencer import OVSegInferencer
from .photo_pipeline import Photo
from .photo_stream import is_out_of_memory, make_failed, read_photo
from .regions import RegionEmbedder
from .results import Result, check_limits, read_result
from .tracker import MEMORY, Tracker
from .video_file import VideoReader
from .visualization import class_color, draw_panoptic


@dataclass(frozen=True, eq=False)
class FrameResult(Result):
    """The panoptic result of a frame; the ``id`` of a segment is that of its track.

    Attributes:
        index: Number of the frame, from 0.
        time: Seconds from the first frame; None in a stream without times.
    """

    index: int = 0
    time: float | None = None

    def to_dict(self, image: str = '') -> dict[str, Any]:
        """Return plain values; see :meth:`Result.to_dict`."""
        return dict(super().to_dict(image), frame=self.index, time=self.time)

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draw on an RGB image of the same size; a track keeps its color.

        There is no legend: all drawings of a video have one size.
        """
        infos = [
            dict(
                id=x.id,
                category_id=x.label,
                color=class_color(x.id),
                text=f'{x.name} {x.id}' if x.isthing else x.name,
            )
            for x in self.segments
        ]
        return draw_panoptic(image, self.label_map, infos, self.names, legend=False)


class VideoSegmenter:
    """Segment the frames of one video after the other; ids stay with an object.

    The memory that it takes does not depend on the length of the video. Use one per
    video, in one thread at a time; several may share an inferencer.

    Args:
        inferencer: The model.
        vocabulary: The classes, as in :meth:`OVSegInferencer.segment`. None takes those
            of the model.
        score_thr: See :func:`read_result`.
        min_area: The same.
        memory: Frames after which a thing that is not seen is forgotten; it gets a new
            id when it comes back.
        embed: Compare how things look, too, not only where they are. It costs no pass
            through the network.

    Raises:
        ValueError: If a name or a number is wrong.

    Example:
        >>> import mmovseg
        >>> from mmovseg.shapeworld.videos import draw_video
        >>> frames = (x.image[..., ::-1] for x in draw_video(0, 0, num_frames=3))
        >>> model = mmovseg.load('tiny', show_progress=False)
        >>> video = VideoSegmenter(model, 'red thing, blue thing, stuff: ground')
        >>> [result.index for result in video(frames)]
        [0, 1, 2]
    """

    def __init__(
        self,
        inferencer: OVSegInferencer,
        vocabulary: Vocabulary | str | Path | Sequence[str] | None = None,
        *,
        score_thr: float | None = None,
        min_area: float = 0.0,
        memory: int = MEMORY,
        embed: bool = True,
    ) -> None:
        if vocabulary is None:
            vocabulary = inferencer.model.vocabulary
        check_limits(min_area, score_thr)
        self.vocabulary = Vocabulary.from_user(vocabulary)
        self.score_thr, self.min_area = score_thr, min_area
        self.embed = embed
        self._inferencer = inferencer
        self._model = RegionEmbedder(inferencer)
        self._tracker = Tracker(memory)
        self._size: tuple[int, ...] | None = None
        self._next = 0

    def __call__(
        self, frames: str | PathLike[str] | Iterable[Any]
    ) -> Iterator[FrameResult]:
        """Segment frames as they come; nothing is read ahead.

        Args:
            frames: A video file, or any stream: each frame an array (BGR), a path or a
                Pillow image, as a webcam, a robot or a list gives them.

        Yields:
            The result of each frame.

        Raises:
            ImageError: If the file or a frame cannot be used, or frames differ in size.
            ImportError: If PyAV is not installed, which files need.
        """
        if isinstance(frames, (str, PathLike)):
            with VideoReader(frames) as reader:
                for frame in reader:
                    yield self.update(frame.bgr, frame.time)
            if reader.problem:
                raise ImageError(reader.problem)
            return
        for item in frames:
            yield self.update(item)

    def update(self, frame: Any, time: float | None = None) -> FrameResult:
        """Segment the next frame.

        Args:
            frame: An array (BGR), a path or a Pillow image.
            time: Seconds from the first frame, if they are known.

        Raises:
            ImageError: If it cannot be used, or differs in size from the one before.
        """
        index = self._next
        try:
            bgr = read_photo(frame)
        except ImageError as error:
            raise ImageError(f'Frame {index}: {error}') from error
        self._size = check_size(index, bgr.shape, self._size)
        result = self._segment(Photo(index, f'frame_{index:06}', bgr))
        self._next += 1
        return FrameResult(**vars(result), index=index, time=time)

    def _segment(self, photo: Photo) -> Result:
        try:
            data = self._inferencer.pipeline(photo)
            batch = self._inferencer.collate_fn([data])
            sample = self._model.forward(batch, self.vocabulary)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            failed = make_failed(photo.bgr, photo.name, error)
            raise ImageError(failed.message) from error
        result = read_result(
            sample,
            'panoptic',
            self.vocabulary.names,
            is_thing=self.vocabulary.is_thing,
            score_thr=self.score_thr,
            min_area=self.min_area,
        )
        looks = None
        if self.embed:
            ids = [segment.id for segment in result.segments]
            shape = sample.metainfo['img_shape']
            looks = self._model.embed(result.label_map, ids, shape)
        result = self._tracker.update(result, looks)
        return replace(result, image=photo.bgr[..., ::-1], photo=photo.name)


def check_size(
    index: int, shape: Sequence[int], before: Sequence[int] | None
) -> tuple[int, ...]:
    """Return the size of a frame, which is that of the frames before.

    Raises:
        ImageError: If it is another one.
    """
    size = tuple(shape[:2])
    if before is not None and size != tuple(before):
        raise ImageError(
            f'Frame {index} has {size[1]} x {size[0]} pixels, those before '
            f'{before[1]} x {before[0]}: cut the video there.'
        )
    return size
