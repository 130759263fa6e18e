import contextlib
import io
import json
import os
import subprocess

import numpy as np
import pytest
from converter_tools import load_tool
from golden_utils import ROOT, load_module
from PIL import EpsImagePlugin, Image

from mmovseg.datasets.aspect_batch_sampler import _read_ratio
from mmovseg.formats.image_file import (
    ImageError,
    load_image,
    read_image,
    read_photo,
)
from mmovseg.formats.label_map_file import read_label_map
from mmovseg.formats.panoptic_format import read_segment_ids
from mmovseg.registry import TRANSFORMS


def encode(kind, **options):
    photo = np.random.RandomState(0).randint(0, 255, (40, 50, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, kind, **options)
    return buffer.getvalue()


def test_png_is_read_as_it_is(tmp_path):
    (tmp_path / 'a.png').write_bytes(encode('PNG'))
    expected = np.random.RandomState(0).randint(0, 255, (40, 50, 3))
    image = read_image(str(tmp_path / 'a.png'), channel_order='rgb')
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize('options', [{}, {'progressive': True}, {'quality': 100}])
def test_whole_jpegs_are_read(tmp_path, options):
    (tmp_path / 'a.jpg').write_bytes(encode('JPEG', **options) + b'camera junk')
    assert read_image(str(tmp_path / 'a.jpg')).shape == (40, 50, 3)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
@pytest.mark.parametrize('part', [0.3, 0.7, 0.99])
def test_cut_off_files_are_refused(tmp_path, kind, part):
    data = encode(kind)
    path = tmp_path / 'cut'
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ValueError, match=r'cut off|cannot be decoded') as error:
        read_image(str(path))
    assert str(path) in str(error.value)


def test_a_thumbnail_does_not_hide_the_cut(tmp_path):
    data = encode('JPEG')
    comment = b'\xff\xfe' + (len(data) + 2).to_bytes(2, 'big') + data
    data = data[:2] + comment + data[2:]  # a whole picture inside the header
    (tmp_path / 'a.jpg').write_bytes(data)
    read_image(str(tmp_path / 'a.jpg'))
    (tmp_path / 'a.jpg').write_bytes(data[:-500])
    with pytest.raises(ValueError, match='cut off'):
        read_image(str(tmp_path / 'a.jpg'))


@pytest.mark.parametrize('content', [b'', b'this is no image'])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / 'a.jpg').write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.jpg') as error:
        read_image(str(tmp_path / 'a.jpg'))
    assert ('empty' in str(error.value)) == (not content)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.jpg'):
        read_image(str(tmp_path / 'nowhere.jpg'))


# PostScript is a program, and Pillow starts Ghostscript to run it


@pytest.fixture
def postscript(tmp_path, monkeypatch):
    """A folder with PostScript under names of images; to start a program fails."""
    data = encode('EPS')
    assert data.startswith(b'%!PS')
    for name in ('a.jpg', 'a.png'):
        (tmp_path / name).write_bytes(data)

    started = []

    def refuse(*command, **options):
        started.append(command)
        raise OSError('no programs here')

    for name in ('Popen', 'run', 'call', 'check_call', 'check_output'):
        monkeypatch.setattr(subprocess, name, refuse)
    monkeypatch.setattr(os, 'system', refuse)
    monkeypatch.setattr(EpsImagePlugin, 'gs_binary', None)
    yield tmp_path
    assert not started


def test_plain_pillow_would_start_a_program(postscript, monkeypatch):
    started = []
    monkeypatch.setattr(subprocess, 'check_call', lambda x, **_: started.append(x))
    with contextlib.suppress(OSError):  # the program has made no picture
        Image.open(postscript / 'a.jpg').load()
    assert started[0][0] == 'gs'


@pytest.mark.parametrize('name', ['a.jpg', 'a.png'])
@pytest.mark.parametrize(
    'read',
    [
        lambda path: read_photo(str(path)),
        load_image,
        lambda path: read_image(str(path), flag='unchanged', backend='pillow'),
        lambda path: read_image(str(path), backend='cv2'),
        lambda path: read_label_map(str(path)),
        lambda path: read_segment_ids(str(path)),
        lambda path: TRANSFORMS.build(
            dict(type='mmovseg.LoadImageFromFile', color_type='grayscale')
        )(dict(img_path=str(path))),
    ],
    ids=[
        *('photo', 'photo of a user', 'mmcv by Pillow', 'mmcv by OpenCV', 'label map'),
        *('panoptic PNG', 'pipeline'),
    ],
)
def test_postscript_is_refused_under_any_name(postscript, read, name):
    with pytest.raises(ImageError, match=name):
        read(postscript / name)


def test_postscript_is_refused_by_the_onnx_demo(postscript):
    pytest.importorskip('onnxruntime', reason="needs '.[export]'")
    demo = load_module(ROOT / 'demo/onnx_demo.py')
    with pytest.raises(OSError, match='cannot identify image file'):
        demo.read_photo(postscript / 'a.jpg')


def test_postscript_is_refused_by_a_converter(postscript):
    with pytest.raises(ImageError, match=r'a\.png is not an image of a known format'):
        load_tool('voc_aug').convert((postscript / 'a.png', postscript / 'out.png'))
    assert not (postscript / 'out.png').exists()


def test_postscript_is_refused_by_the_main_demo(postscript):
    folder = postscript / 'annotations/panoptic_val'
    folder.mkdir(parents=True)
    (postscript / 'a.png').rename(folder / 'a.png')
    content = {
        'categories': [{'id': 1, 'name': 'red star'}],
        'images': [{'file_name': 'a.jpg'}],
        'annotations': [{'file_name': 'a.png', 'segments_info': []}],
    }
    (postscript / 'annotations/panoptic_val.json').write_text(json.dumps(content))
    demo = load_module(ROOT / 'demo/shapeworld_demo.py')
    with pytest.raises(ImageError, match=r'a\.png is not an image of a known format'):
        list(demo.read_truth(postscript, ['red star']))


def test_the_sampler_by_shape_does_not_run_postscript(postscript):
    class Data:
        def get_data_info(self, index):
            return dict(img_path=str(postscript / 'a.jpg'))

    with pytest.raises((ValueError, OSError), match=r'a\.jpg'):
        _read_ratio(Data(), 0)
