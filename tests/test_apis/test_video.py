"""Streams of frames: ids stay, nothing piles up, bad frames are one sentence."""

import gc
import weakref

import numpy as np
import pytest
import torch
from PIL import Image
from video_files import write_video

from mmovseg.apis import ImageError, OVSegInferencer, VideoSegmenter
from mmovseg.apis.results import Result
from mmovseg.apis.visualization import class_color


def paint(x, y=8, size=(48, 64)):
    """Draw a red square on green, BGR."""
    bgr = np.zeros((*size, 3), np.uint8)
    bgr[..., 1] = 255
    bgr[y : y + 16, x : x + 16] = 0, 0, 255
    return bgr


@pytest.fixture
def inferencer(color_config):
    return OVSegInferencer(color_config, show_progress=False)


def test_ids_and_drawings_stay_with_a_thing(inferencer):
    video = VideoSegmenter(inferencer)
    results = list(video(paint(x) for x in range(0, 48, 4)))
    assert [x.index for x in results] == list(range(12))
    for place, result in zip(range(0, 48, 4), results, strict=True):
        assert isinstance(result, Result)
        by_name = {segment.name: segment for segment in result.segments}
        assert by_name['red'].id == results[0].label_map[16, 8]
        assert by_name['green'].id == results[0].label_map[40, 60]
        assert result.label_map[16, place + 8] == by_name['red'].id
        assert np.array_equal(result.image, paint(place)[..., ::-1])
        assert result.to_numpy()['instances'][16, place + 8] == by_name['red'].id
        drawn = result.overlay()
        assert drawn.shape == results[0].overlay().shape
        red = drawn[5 * 9, 5 * (place + 8)].astype(int)  # enlarged five times
        color = np.array(class_color(by_name['red'].id))
        tinted = (color + np.array([255, 0, 0])) // 2
        assert np.abs(red - tinted).max() <= 2
    assert results[3].to_dict('x')['frame'] == 3


def test_a_stream_is_read_frame_by_frame(inferencer):
    read = []

    def camera():
        while True:
            read.append(len(read))
            yield paint(0)

    results = VideoSegmenter(inferencer)(camera())
    assert read == []
    next(results)
    next(results)
    assert read == [0, 1]


def test_nothing_of_earlier_frames_is_kept(inferencer):
    video = VideoSegmenter(inferencer, memory=2)
    results = video(paint(x % 48) for x in range(12))
    alive = [weakref.ref(next(results).image.base) for _ in range(12)]
    gc.collect()
    assert sum(x() is not None for x in alive) <= 1


def test_every_kind_of_frame_and_names_of_the_call(inferencer, tmp_path):
    Image.fromarray(paint(4)[..., ::-1]).save(tmp_path / '1.png')
    frames = [paint(0), str(tmp_path / '1.png'), Image.fromarray(paint(8)[..., ::-1])]
    video = VideoSegmenter(inferencer, 'cherry, stuff: grass', min_area=900)
    results = list(video(frames))
    names = [sorted(x.name for x in result.segments) for result in results]
    assert names == [['grass']] * 3  # the square is smaller
    assert inferencer.model.vocabulary.names == ('red', 'green', 'blue')


def test_bad_frames(inferencer):
    video = VideoSegmenter(inferencer)
    video.update(paint(0))
    with pytest.raises(ImageError, match='Frame 1 has 32 x 48 pixels, those before 64'):
        video.update(paint(0, size=(48, 32)))
    with pytest.raises(ImageError, match=r'Frame 1: A photo is a path.*NoneType'):
        video.update(None)
    with pytest.raises(ImageError, match='Frame 1: An image array must be'):
        video.update(np.zeros((4, 5, 7), np.uint8))
    assert video.update(paint(4)).index == 1
    with pytest.raises(ValueError, match='at least 1 frame, got 0'):
        VideoSegmenter(inferencer, memory=0)
    with pytest.raises(ValueError, match='min_area'):
        VideoSegmenter(inferencer, min_area=-1)
    assert list(VideoSegmenter(inferencer)([])) == []


def test_a_frame_that_fills_the_memory(inferencer, monkeypatch):
    def fill(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(type(inferencer.model), 'segment', fill)
    with pytest.raises(ImageError, match='frame_000000 needs more memory'):
        VideoSegmenter(inferencer).update(paint(0))


def test_a_file_is_a_stream_too(inferencer, tmp_path):
    pytest.importorskip('av', reason='PyAV')
    path = tmp_path / 'a.mp4'
    write_video(path, [10, 20, 30, 40])
    results = list(VideoSegmenter(inferencer)(path))
    assert [x.time for x in results] == pytest.approx([0, 0.04, 0.08, 0.12])
    assert len({x.segments[0].id for x in results}) == 1
    write_video(path, [10] * 60, codec='mpeg4', options=dict(movflags='faststart'))
    path.write_bytes(path.read_bytes()[:-40])
    results = VideoSegmenter(inferencer)(path)
    with pytest.raises(ImageError, match='cut off or damaged'):
        assert len(list(results)) > 1
