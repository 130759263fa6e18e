"""Read and write video files with PyAV."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..fileio import printable
from .images import ImageError

RATE = Fraction(25)  # frames per second where a file does not say
MOST_RATE = 1000  # what says more is not meant
CLOCK = 120_000  # parts of a second in written files, so that 1001 / 24000 is exact
MAX_PIXELS = 1 << 27  # of a frame
# A file may not name others: playlists could read any file, or the network.
SAFE = {'protocol_whitelist': 'none'}


class Frame(NamedTuple):
    """A frame of a video.

    Attributes:
        bgr: Upright, uint8, ``[H, W, 3]``.
        time: Seconds from the first frame.
    """

    bgr: np.ndarray
    time: float


def import_av() -> ModuleType:
    """Import PyAV.

    Raises:
        ImportError: If it is not installed; the message says how to.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError(
            "Video files need PyAV: pip install 'mmovseg[video]'."
        ) from error
    return av


class VideoReader:
    """The frames of a video file, upright and in order, one at a time.

    A file that is damaged gives what can be decoded; :attr:`problem` says afterwards
    what is missing. Use it as a context.

    Args:
        path: The file.

    Attributes:
        width: Pixels of an upright frame; known from the first frame on.
        height: The same.
        rate: Frames per second, or None where the file does not say so.
        count: How many frames there are; 0 where that is not known.
        problem: What is wrong with the frames that were read; empty for nothing.

    Raises:
        ImportError: If PyAV is not installed.
        ImageError: If the file cannot be read, or has no pictures.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.name = Path(path), printable(path)
        self.width = self.height = 0
        self.problem = ''
        self._av: Any = import_av()
        self._file = self._open()
        try:
            self._container = self._av.open(self._file, options=SAFE)
        except (self._av.error.FFmpegError, OSError) as error:
            self._file.close()
            raise ImageError(
                f'{self.name} cannot be read as a video: it is of another kind, empty, '
                f'cut off or damaged ({error.strerror or error}).'
            ) from error
        try:
            self._stream = self._find_stream()
        except ImageError:
            self.close()
            raise
        self._stream.thread_type = 'AUTO'
        self.rate = self._find_rate()
        self.count = self._stream.frames or self._estimate_count()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        self._file.close()

    def _open(self) -> Any:
        if self.path.exists() and not (self.path.is_file() or self.path.is_dir()):
            raise ImageError(f'{self.name} is a pipe or a device, no video file.')
        try:
            return open(self.path, 'rb')
        except FileNotFoundError as error:
            raise ImageError(f'There is no {self.name}.') from error
        except IsADirectoryError as error:
            raise ImageError(f'{self.name} is a folder, no video.') from error
        except OSError as error:
            raise ImageError(
                f'{self.name} cannot be read: {error.strerror}.'
            ) from error

    def _find_stream(self) -> Any:
        streams = self._container.streams
        if not streams:
            raise ImageError(
                f'{self.name} cannot be read as a video: it is cut off or damaged.'
            )
        cover = self._av.stream.Disposition.attached_pic
        pictures = [x for x in streams.video if not x.disposition & cover]
        if not pictures:
            raise ImageError(f'{self.name} has sound but no pictures.')
        stream = pictures[0]
        if stream.codec_context is None:
            raise ImageError(
                f'{self.name} has pictures of a kind that PyAV cannot decode.'
            )
        pixels = stream.codec_context.width * stream.codec_context.height
        if pixels > MAX_PIXELS:
            raise ImageError(
                f'{self.name} has frames of {pixels} pixels; at most {MAX_PIXELS} can '
                'be used.'
            )
        return stream

    def _find_rate(self) -> Fraction | None:
        for rate in (self._stream.average_rate, self._stream.guessed_rate):
            if rate and 0 < rate <= MOST_RATE:
                return Fraction(rate)
        return None

    def _estimate_count(self) -> int:
        return round(self._find_length() * (self.rate or 0))

    def _find_length(self) -> float:
        """Return the seconds that the header tells, or 0."""
        stream = self._stream
        if stream.duration:
            return float(stream.duration * stream.time_base)
        return (self._container.duration or 0) / self._av.time_base

    def __iter__(self) -> Iterator[Frame]:
        """Give every frame that can be decoded."""
        first = last = None
        step = 1 / float(self.rate or RATE)
        for frame in self._decode():
            bgr = _to_upright_bgr(frame)
            height, width = bgr.shape[:2]
            if first is not None and (height, width) != (self.height, self.width):
                self.problem = (
                    f'{self.name}: frames have {width} x {height} pixels from '
                    f'{last:.2f} s on, and {self.width} x {self.height} before. It was '
                    'read up to there: cut the video in two.'
                )
                return
            self.height, self.width = height, width
            time = frame.time
            if first is None or last is None:
                first, last = time or 0.0, 0.0
            else:
                # Times that are missing, or go back, would break what is written.
                time = last + step if time is None else time - first
                last = time if time > last else last + step / 1000
            yield Frame(bgr, last)
        if first is None:
            raise ImageError(
                f'{self.name} has no frame that can be decoded: it is empty, cut off '
                'or damaged.'
            )

    def _decode(self) -> Iterator[Any]:
        """Decode all packets; count those that are damaged or missing."""
        packets = damaged = frames = 0
        end = 0.0
        try:
            for packet in self._container.demux(self._stream):
                packets += packet.size > 0
                stop = (packet.pts or 0) + (packet.duration or 0)
                end = max(end, float(stop * (packet.time_base or 0)))
                try:
                    found = packet.decode()
                except self._av.error.FFmpegError:
                    damaged += 1
                    continue
                for frame in found:
                    frames += 1
                    yield frame
        except self._av.error.FFmpegError:  # the file ends inside of a packet
            damaged += 1
        missing = max(self._stream.frames - packets, 0)
        if not self._stream.frames and self.rate:
            # Headers are not exact.
            length = self._find_length()
            rest = length - end if length - end > max(0.5, length / 20) else 0
            missing = round(rest * self.rate)
        if frames and (damaged or missing):
            self.problem = (
                f'{self.name} is cut off or damaged: {frames} frames could be read, '
                f'about {damaged + missing} are missing.'
            )


def _to_upright_bgr(frame: Any) -> np.ndarray:
    """Convert a frame, and turn it as its file says, which telephones use."""
    bgr = frame.to_ndarray(format='bgr24')
    turns = round(getattr(frame, 'rotation', 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(bgr, turns)) if turns else bgr


class VideoWriter:
    """Write an MP4 that any player shows (H.264), or MPEG-4 where there is no encoder.

    Args:
        path: Where it goes; the name may have any ending.
        rate: Frames per second, about; each frame has its own time.

    Raises:
        ImportError: If PyAV is not installed.
    """

    def __init__(
        self, path: str | os.PathLike[str], rate: Fraction | float | None
    ) -> None:
        self._av: Any = import_av()
        options = {'movflags': 'faststart'}
        self._container = self._av.open(
            os.fspath(path), 'w', format='mp4', options=options
        )
        self._rate = Fraction(rate or RATE).limit_denominator(1001)
        self._stream: Any = None
        self._last = -1

    def write(self, rgb: np.ndarray, time: float) -> None:
        """Add a frame.

        Args:
            rgb: uint8, ``[H, W, 3]``, of one size in all calls.
            time: Seconds from the first frame, larger than before.
        """
        # The encoder takes even sizes.
        height, width = rgb.shape[:2]
        rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), 'edge')
        if self._stream is None:
            self._start(*rgb.shape[:2])
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), 'rgb24')
        self._last = max(round(time * CLOCK), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, CLOCK)
        self._container.mux(self._stream.encode(frame))

    def _start(self, height: int, width: int) -> None:
        available = self._av.codecs_available
        codec = 'libx264' if 'libx264' in available else 'mpeg4'
        stream = self._container.add_stream(codec, rate=self._rate)
        stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
        stream.codec_context.time_base = Fraction(1, CLOCK)
        self._stream = stream

    def close(self) -> None:
        """Encode the frames that wait, and end the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()
