"""Measure tracks on drawn videos, whose truth is known."""

from __future__ import annotations

import numpy as np

from ..apis import OVSegInferencer
from ..apis.photo_pipeline import Photo
from ..apis.regions import RegionEmbedder
from ..apis.results import Result, Segment, find_boxes, read_result
from ..apis.tracker import MEMORY, Tracker
from ..evaluation.video_quality import VideoQuality
from ..progress import Progress
from ..shapeworld.drawing import CLASSES
from ..shapeworld.videos import VideoFrame, draw_video
from ..vocabulary import Vocabulary

# What is tracked, and how.
ROWS = {
    'segments of the model, by place': (False, False),
    'segments of the model, by place and embedding': (False, True),
    'true segments, by place': (True, False),
    'true segments, by place and embedding': (True, True),
}


def measure_tracking(
    inferencer: OVSegInferencer,
    *,
    seed: int = 0,
    num_videos: int = 20,
    num_frames: int = 48,
    size: int = 192,
    memory: int = MEMORY,
    show_progress: bool = False,
) -> dict[str, dict[str, float]]:
    """Segment drawn videos once, track in several ways, and compare with the truth.

    Args:
        inferencer: With a model that knows ShapeWorld.
        seed: Of the videos.
        num_videos: How many there are.
        num_frames: Of each.
        size: Height and width of a frame.
        memory: See :class:`Tracker`.
        show_progress: Show how far the work is.

    Returns:
        By row what :meth:`VideoQuality.compute` returns, and the tracks per true one.
    """
    vocabulary = Vocabulary.load('shapeworld')
    assert vocabulary.names == CLASSES
    quality = {name: VideoQuality(vocabulary.is_thing) for name in ROWS}
    embedder = RegionEmbedder(inferencer)
    found, there = dict.fromkeys(ROWS, 0), 0
    steps = num_videos * num_frames
    with Progress(steps, 'Videos', 'frame', disable=not show_progress) as progress:
        for number in range(num_videos):
            trackers = {name: Tracker(memory) for name in ROWS}
            tracks: dict[str, set[int]] = {name: set() for name in ROWS}
            true: set[int] = set()
            frames = draw_video(seed, number, num_frames=num_frames, size=size)
            for frame in frames:
                true |= set(np.unique(frame.tracks).tolist())
                pairs = _segment(inferencer, embedder, frame, vocabulary)
                for name, (is_true, embed) in ROWS.items():
                    result, looks = pairs[is_true]
                    got = trackers[name].update(result, looks if embed else None)
                    labels = {x.id: x.label for x in got.segments}
                    tracks[name] |= labels.keys()
                    quality[name].add(
                        frame.tracks,
                        dict(enumerate(frame.labels)),
                        got.label_map,
                        labels,
                    )
                progress.update()
            there += len(true)
            for name in ROWS:
                quality[name].end_video()
                found[name] += len(tracks[name])
    return {
        name: {**quality[name].compute(), 'tracks per true one': found[name] / there}
        for name in ROWS
    }


def _segment(
    inferencer: OVSegInferencer,
    embedder: RegionEmbedder,
    frame: VideoFrame,
    vocabulary: Vocabulary,
) -> list[tuple[Result, np.ndarray | None]]:
    """Return the segments of the model and the true ones, with their embeddings."""
    bgr = np.ascontiguousarray(frame.image[..., ::-1])
    batch = inferencer.collate_fn([inferencer.pipeline(Photo(0, 'frame', bgr))])
    sample = embedder.forward(batch, vocabulary)
    names, is_thing = vocabulary.names, vocabulary.is_thing
    results = [
        read_result(sample, 'panoptic', names, is_thing=is_thing),
        _read_truth(frame, vocabulary),
    ]
    shape = sample.metainfo['img_shape']
    return [
        (x, embedder.embed(x.label_map, [y.id for y in x.segments], shape))
        for x in results
    ]


def _read_truth(frame: VideoFrame, vocabulary: Vocabulary) -> Result:
    label_map = frame.tracks + 1
    areas = np.bincount(label_map.ravel())
    segments = []
    for number, box in find_boxes(label_map).items():
        label = frame.labels[number - 1]
        name, thing = vocabulary.names[label], vocabulary.is_thing[label]
        area = int(areas[number])
        segments.append(Segment(number, label, name, thing, 1.0, area, box))
    return Result('panoptic', label_map, segments, vocabulary.names)
