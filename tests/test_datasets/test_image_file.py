import io

import numpy as np
import pytest
from PIL import Image

from mmovseg.datasets.image_file import read_image


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
