"""The command mmovseg video: files out, mistakes told, nothing lost."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from video_files import write_sound, write_video

from mmovseg.apis import OVSegInferencer, VideoSegmenter, init_model
from mmovseg.apis.video_file import VideoReader, VideoWriter
from mmovseg.cli.main import main
from mmovseg.shapeworld.videos import draw_video

pytest.importorskip('av', reason='PyAV')

NAMES = 'red heart, orange triangle, stuff: sand, stuff: carpet'
FRAMES = 8


@pytest.fixture(scope='module')
def model():
    return init_model('eovseg_tiny_shapeworld', 'shapeworld')


@pytest.fixture
def loaded(model, monkeypatch):
    """Build the model once for all commands; tell how often it was asked for."""
    calls = []

    def load(args, **options):
        calls.append(args.model)
        return OVSegInferencer(model, show_progress=False, **options)

    monkeypatch.setattr('mmovseg.cli.runs.video.load_model', load)
    return calls


@pytest.fixture
def clip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer = VideoWriter('clip.mp4', 10)
    for index, frame in enumerate(draw_video(3, 0, num_frames=FRAMES, size=96)):
        writer.write(frame.image, index / 10)
    writer.close()
    return 'clip.mp4'


def run(*words, model='tiny'):
    return main(['video', *words, '-c', NAMES, '--model', model])


def read_frames(path):
    with VideoReader(path) as reader:
        return [frame.bgr for frame in reader]


def test_files_show_what_the_class_in_python_finds(loaded, clip, model, capsys):
    assert run(clip) == 0
    text = capsys.readouterr().out
    assert text.startswith(f'clip.mp4: {FRAMES} frames, 0.70 s, ')
    assert re.search(r'track +name +kind +score +frames +first +last', text)
    assert sorted(x.name for x in Path('outputs').iterdir()) == [
        'clip_overlay.mp4',
        'clip_tracks.json',
    ]
    video = VideoSegmenter(OVSegInferencer(model), NAMES, min_area=64)
    expected = list(video(read_frames(clip)))
    coco = COCO('outputs/clip_tracks.json')
    assert coco.getImgIds() == list(range(1, FRAMES + 1))
    names = {x['id']: x['name'] for x in coco.cats.values()}
    tracks = set()
    for image, result in zip(coco.imgs.values(), expected, strict=True):
        assert image['frame_id'] == result.index
        assert image['time'] == pytest.approx(result.index / 10)
        label_map = np.zeros((image['height'], image['width']), int)
        found = coco.imgToAnns[image['id']]
        for annotation in found:
            label_map[coco.annToMask(annotation) > 0] = annotation['track_id']
            tracks.add(annotation['track_id'])
        assert np.array_equal(label_map, result.label_map)
        assert [names[x['category_id']] for x in found] == [
            x.name for x in result.segments
        ]
    listed = {x['id']: x for x in coco.dataset['tracks']}
    assert set(listed) == tracks
    for number, track in listed.items():
        places = [x.index for x in expected if (x.label_map == number).any()]
        assert track['frames'] == len(places)
        assert (track['first_frame'], track['last_frame']) == (places[0], places[-1])
    drawn = read_frames('outputs/clip_overlay.mp4')
    assert len(drawn) == FRAMES
    for image, result in zip(drawn, expected, strict=True):
        difference = image[..., ::-1].astype(int) - result.overlay()
        assert np.abs(difference).mean() < 8  # H.264 is not exact


def test_json_and_every_second_frame(loaded, clip, capsys):
    assert run(clip, '--every', '3', '--json', '--no-embedding', '-o', 'a') == 0
    report = json.loads(capsys.readouterr().out)
    [video] = report['videos']
    assert (video['frames'], video['problem'], report['errors']) == (3, '', [])
    assert video['seconds'] == pytest.approx(0.6)
    images = json.loads(Path(video['json']).read_text())['images']
    assert [x['frame_id'] for x in images] == [0, 3, 6]
    assert len(read_frames(video['overlay'])) == 3
    assert {'id', 'name', 'isthing', 'first', 'last'} <= set(video['tracks'][0])


def test_what_is_there_is_not_lost(loaded, clip, capsys):
    Path('outputs').mkdir()
    Path('outputs/clip_tracks.json').write_text('mine')
    assert run(clip) == 3
    told = capsys.readouterr().err
    assert 'clip_tracks.json is there already: remove it' in told
    assert not loaded  # before the model is built
    assert Path('outputs/clip_tracks.json').read_text() == 'mine'
    assert run(clip, '--overwrite') == 0
    assert COCO('outputs/clip_tracks.json').imgs


def test_one_bad_file_stops_no_other(loaded, clip, capsys):
    write_sound(Path('sound.m4a'))
    Path('sub').mkdir()
    Path('sub/clip.mp4').write_text('no video')
    assert run('sound.m4a', 'none.mp4', clip, 'sub/clip.mp4') == 1
    printed = capsys.readouterr()
    assert '1 videos done' in printed.out
    errors = printed.err.splitlines()
    assert len([x for x in errors if x.startswith('error: ')]) == 3
    assert 'sound.m4a has sound but no pictures.' in printed.err
    assert 'There is no none.mp4.' in printed.err
    assert sorted(x.name for x in Path('outputs').iterdir()) == [
        'clip_overlay.mp4',
        'clip_tracks.json',
    ]


def test_nothing_is_left_of_a_file_that_cannot_be_used(loaded, clip, capsys):
    assert run('none.mp4', '--json') == 1
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report['videos'] == []
    assert report['errors'] == [dict(input='none.mp4', message='There is no none.mp4.')]
    assert not Path('outputs').exists()


def test_a_file_that_is_cut_off_gives_what_there_is(loaded, clip, capsys):
    write_video('a.mp4', range(0, 240, 8), options=dict(movflags='faststart', g='1'))
    write_video('b.ts', [1, 2, 3], size=(64, 48))
    write_video('c.ts', [1, 2, 3], size=(48, 64))
    content = Path('a.mp4').read_bytes()
    Path('a.mp4').write_bytes(content[: len(content) * 3 // 4])
    Path('d.ts').write_bytes(Path('b.ts').read_bytes() + Path('c.ts').read_bytes())
    assert run('a.mp4', 'd.ts') == 1
    told = capsys.readouterr().err
    assert 'a.mp4 is cut off or damaged' in told and '48 x 64 pixels from' in told
    for name in ('a', 'd'):
        content = json.loads(Path(f'outputs/{name}_tracks.json').read_text())
        [video] = content['videos']
        assert video['problem'] and video['length'] == len(content['images'])
        drawn = read_frames(f'outputs/{name}_overlay.mp4')
        assert len(drawn) == video['length'] >= 3


def test_a_full_disk_leaves_what_was_there(loaded, clip, capsys, monkeypatch):
    assert run(clip) == 0
    before = {x.name: x.read_bytes() for x in Path('outputs').iterdir()}

    def fail(self, *_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(VideoWriter, 'write', fail)
    assert run(clip, '--overwrite') == 3
    assert 'Results cannot be written to outputs: No space left' in (
        capsys.readouterr().err
    )
    assert {x.name: x.read_bytes() for x in Path('outputs').iterdir()} == before


@pytest.mark.parametrize(
    'options, words',
    [
        (('--every', '0'), '--every must be at least 1, got 0'),
        (('--memory', '0'), '--memory must be at least 1'),
        (('--min-area', '-1'), '--min-area'),
        (('--checkpoint', 'a.pth', '--model', ''), '--checkpoint needs'),
    ],
)
def test_wrong_options(options, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(['video', 'clip.mp4', *options])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_wrong_names_and_no_pyav(loaded, clip, capsys, monkeypatch):
    assert main(['video', clip, '-c', 'cat|dog', '--model', 'tiny']) == 2
    assert not Path('outputs').exists()
    monkeypatch.setitem(__import__('sys').modules, 'av', None)
    assert run(clip) == 2
    assert "pip install 'mmovseg[video]'" in capsys.readouterr().err
