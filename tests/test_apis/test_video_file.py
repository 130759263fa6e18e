"""Video files: all kinds are read, and bad ones are one sentence."""

import os
import sys
from fractions import Fraction

import numpy as np
import pytest
from video_files import turn, write_sound, write_video

from mmovseg.apis import ImageError
from mmovseg.apis.video_file import VideoReader, VideoWriter

pytest.importorskip('av', reason='PyAV')


def read(path):
    with VideoReader(path) as reader:
        return list(reader), reader


@pytest.mark.parametrize(
    'name, codec',
    [('a.mp4', 'libx264'), ('a.mkv', 'libx264'), ('a.avi', 'mpeg4'), ('a.ts', 'mpeg4')],
)
def test_all_frames_in_order(tmp_path, name, codec):
    write_video(tmp_path / name, codec=codec)
    frames, reader = read(tmp_path / name)
    assert len(frames) == 24 and not reader.problem
    assert (reader.width, reader.height, reader.rate) == (64, 48, 25)
    assert abs(reader.count - 24) <= 2
    shades = [int(x.bgr[-4, -4].mean()) for x in frames]
    assert shades == pytest.approx(list(range(8, 248, 10)), abs=4)
    assert [x.time for x in frames] == pytest.approx(np.arange(24) / 25, abs=2e-3)
    blue, _, red = frames[0].bgr[8, 8]
    assert red > 200 and blue < 60


@pytest.mark.parametrize(
    'rate', [Fraction(24000, 1001), Fraction(1, 2), Fraction(120)], ids=str
)
def test_odd_rates(tmp_path, rate):
    path = tmp_path / 'a.mp4'
    write_video(path, [10, 20, 30], rate=rate)
    frames, reader = read(path)
    assert reader.rate == rate
    assert [x.time for x in frames] == pytest.approx([0, 1 / rate, 2 / rate], abs=1e-3)
    again = tmp_path / 'b.mp4'
    writer = VideoWriter(again, reader.rate)
    for frame in frames:
        writer.write(frame.bgr[..., ::-1], frame.time)
    writer.close()
    copied, copy = read(again)
    assert copy.rate == rate
    assert [x.time for x in copied] == pytest.approx([x.time for x in frames], abs=1e-4)


def test_frames_keep_their_times_where_the_rate_varies(tmp_path):
    times = [0, 40, 50, 500, 501, 2000]
    write_video(tmp_path / 'a.mkv', range(10, 70, 10), times=times)
    frames, reader = read(tmp_path / 'a.mkv')
    assert [x.time for x in frames] == pytest.approx(np.array(times) / 1000, abs=1e-3)
    writer = VideoWriter(tmp_path / 'b.mp4', reader.rate)
    for frame in frames:
        writer.write(frame.bgr, frame.time)
    writer.close()
    copied, _ = read(tmp_path / 'b.mp4')
    assert [x.time for x in copied] == pytest.approx([x.time for x in frames], abs=1e-4)


@pytest.mark.parametrize('rate', [None, Fraction(0), Fraction(10**6)])
def test_a_rate_that_cannot_be_meant(tmp_path, monkeypatch, rate):
    write_video(tmp_path / 'a.mp4', [10, 20, 30])
    with VideoReader(tmp_path / 'a.mp4') as reader:

        class Stream:
            average_rate = guessed_rate = rate
            frames = 3

        monkeypatch.setattr(reader, '_stream', Stream())
        assert reader._find_rate() is None
    with VideoReader(tmp_path / 'a.mp4') as reader:
        reader.rate = None
        times = [x.time for x in reader]
    assert times == pytest.approx([0, 0.04, 0.08], abs=1e-3)
    VideoWriter(tmp_path / 'b.mp4', None).close()


def test_missing_and_repeated_times(tmp_path, monkeypatch):
    write_video(tmp_path / 'a.mp4', [10, 20, 30, 40, 50])

    class Untimed:
        def __init__(self, frame, time):
            self.frame, self.time = frame, time
            self.rotation = 0

        def to_ndarray(self, format):
            return self.frame.to_ndarray(format=format)

    with VideoReader(tmp_path / 'a.mp4') as reader:
        found = reader._decode()
        stamps = [3.0, None, None, 3.01, 3.2]
        frames = (Untimed(x, t) for x, t in zip(found, stamps, strict=False))
        monkeypatch.setattr(reader, '_decode', lambda: frames)
        times = [x.time for x in reader]
    assert times[:3] == pytest.approx([0, 0.04, 0.08])
    assert times[3] > times[2] and times[4] == pytest.approx(0.2)


def test_odd_sizes_are_written(tmp_path):
    writer = VideoWriter(tmp_path / 'a.mp4', Fraction(25))
    rgb = np.random.default_rng(0).integers(0, 255, (31, 17, 3), np.uint8)
    writer.write(rgb, 0.0)
    writer.write(rgb, 0.0)  # a time that is there already
    writer.close()
    frames, reader = read(tmp_path / 'a.mp4')
    assert len(frames) == 2 and (reader.height, reader.width) == (32, 18)


@pytest.mark.parametrize('degrees', [90, 180])
def test_videos_of_telephones_are_upright(tmp_path, degrees):
    path = tmp_path / 'a.mp4'
    write_video(path, [10, 20])
    turn(path, degrees)
    frames, reader = read(path)
    size = (64, 48) if degrees == 180 else (48, 64)
    assert (reader.width, reader.height) == size
    red = frames[0].bgr[..., 2] > 150
    rows, columns = np.nonzero(red)
    # A quarter turn clockwise takes the upper left quarter to the upper right.
    assert columns.mean() > size[0] / 2
    assert (rows.mean() > size[1] / 2) == (degrees == 180)


def refuse(path, words):
    with pytest.raises(ImageError, match=words) as error, VideoReader(path) as reader:
        list(reader)
    text = str(error.value)
    assert path.name in text and '\n' not in text and text.endswith('.')


def test_what_is_no_video(tmp_path):
    refuse(tmp_path / 'none.mp4', 'There is no')
    refuse(tmp_path, 'is a folder')
    (tmp_path / 'empty.mp4').touch()
    refuse(tmp_path / 'empty.mp4', 'cannot be read as a video')
    (tmp_path / 'text.mp4').write_text('hello ' * 1000)
    refuse(tmp_path / 'text.mp4', 'cannot be read as a video')
    write_sound(tmp_path / 'sound.m4a')
    refuse(tmp_path / 'sound.m4a', 'has sound but no pictures')


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'a.mp4')
    with pytest.raises(ImageError, match='is a pipe or a device'):
        VideoReader(tmp_path / 'a.mp4')


def test_a_video_without_frames(tmp_path):
    write_video(tmp_path / 'a.mp4', options=dict(movflags='faststart'))
    content = (tmp_path / 'a.mp4').read_bytes()
    (tmp_path / 'b.mp4').write_bytes(content[: content.index(b'mdat') + 4])
    refuse(tmp_path / 'b.mp4', 'no frame that can be decoded')
    content = (tmp_path / 'a.mp4').read_bytes()
    (tmp_path / 'c.mp4').write_bytes(content[: content.index(b'moov') - 4])
    refuse(tmp_path / 'c.mp4', 'cannot be read as a video')


def test_a_file_that_is_cut_off(tmp_path):
    shades = np.random.default_rng(0).integers(0, 255, 100).tolist()
    for name in ('a.mp4', 'a.mkv', 'a.avi'):
        write_video(
            tmp_path / name,
            shades,
            codec='mpeg4',
            options=dict(movflags='faststart') if 'mp4' in name else {},
        )
        content = (tmp_path / name).read_bytes()
        path = tmp_path / f'cut_{name}'
        path.write_bytes(content[: len(content) * 7 // 10])
        frames, reader = read(path)
        assert 20 < len(frames) < 95
        assert f'{name} is cut off or damaged: {len(frames)} frames' in reader.problem
    # Without its index, which is at the end.
    write_video(tmp_path / 'b.mp4', shades)
    content = (tmp_path / 'b.mp4').read_bytes()
    (tmp_path / 'b.mp4').write_bytes(content[: len(content) // 2])
    refuse(tmp_path / 'b.mp4', 'cut off or damaged')


def test_a_damaged_part_is_told(tmp_path):
    path = tmp_path / 'a.mp4'
    write_video(path, range(10, 200, 4), codec='mpeg4')
    content = bytearray(path.read_bytes())
    start = content.index(b'mdat') + 4 + len(content) // 8
    content[start : start + 400] = bytes(400)
    path.write_bytes(content)
    frames, reader = read(path)
    assert frames
    if len(frames) < 48:
        assert 'damaged' in reader.problem


def test_frames_that_change_size(tmp_path):
    write_video(tmp_path / 'a.ts', [10, 20, 30])
    write_video(tmp_path / 'b.ts', [40, 50], size=(96, 32))
    path = tmp_path / 'c.ts'
    path.write_bytes(
        (tmp_path / 'a.ts').read_bytes() + (tmp_path / 'b.ts').read_bytes()
    )
    frames, reader = read(path)
    assert {x.bgr.shape for x in frames} == {(48, 64, 3)} and len(frames) == 3
    assert '96 x 32 pixels' in reader.problem and '64 x 48 before' in reader.problem


def test_a_playlist_opens_no_other_file(tmp_path):
    write_video(tmp_path / 'a.ts')  # long enough to be found out
    (tmp_path / 'a.m3u8').write_text(
        f'#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{tmp_path}/a.ts\n'
        '#EXT-X-ENDLIST\n'
    )
    (tmp_path / 'a.ffconcat').write_text('ffconcat version 1.0\nfile a.ts\n')
    for name in ('a.m3u8', 'a.ffconcat'):
        refuse(tmp_path / name, 'cannot be read as a video')


def test_without_pyav(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(ImportError, match=r"pip install 'mmovseg\[video\]'"):
        VideoReader(tmp_path / 'a.mp4')
