"""Photos as people have them."""

import contextlib
import io
import os
import socket

import numpy as np
import pytest
from PIL import Image

from mmovseg.apis.images import (
    ImageError,
    array_to_bgr,
    find_images,
    load_image,
    pil_to_bgr,
    write_json,
    write_png,
)
from mmovseg.formats.image_file import read_photo


@pytest.fixture
def photo():
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def save(array, path, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_png_is_read_as_bgr(photo, tmp_path):
    assert (load_image(save(photo, tmp_path / 'a.png')) == photo[..., ::-1]).all()


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_is_applied(orientation, tmp_path):
    upright = np.zeros((4, 8, 3), np.uint8)
    upright[0, 0] = 255  # the corner tells all eight apart, with the shape
    undo = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.transpose(1, 0, 2),
        6: lambda x: np.rot90(x),
        7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
        8: lambda x: np.rot90(x, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(undo[orientation](upright))
    path = save(stored, tmp_path / 'a.png', exif=exif)
    assert (load_image(path) == upright).all()


def test_grey_gets_three_channels(photo, tmp_path):
    image = load_image(save(photo[..., 0], tmp_path / 'a.png'))
    assert image.shape == (20, 30, 3)
    assert (image == photo[..., :1]).all()


def test_transparency_is_put_on_white(tmp_path):
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    image = load_image(save(rgba, tmp_path / 'a.png'))
    assert image[0, 0].tolist() == [30, 20, 10]
    assert image[0, 1].tolist() == [255, 255, 255]
    assert abs(image[0, 2].astype(int) - 127).max() <= 1
    bgra = rgba[..., [2, 1, 0, 3]]
    assert abs(array_to_bgr(bgra).astype(int) - image).max() <= 1


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'PA', 'RGBX', 'CMYK', 'YCbCr'])
def test_every_mode_becomes_bgr(mode, photo):
    image = Image.fromarray(photo)
    image = image.convert('L').convert(mode) if mode == 'PA' else image.convert(mode)
    result = pil_to_bgr(image)
    assert result.shape == (20, 30, 3)
    assert result.dtype == np.uint8
    if mode in ('RGBX', 'CMYK', 'YCbCr'):
        assert abs(result[..., ::-1].astype(int) - photo).max() <= 4


def test_palette_with_a_transparent_color(tmp_path):
    image = Image.new('P', (2, 1))
    image.putpalette([9, 8, 7, 200, 100, 50])
    image.putdata([0, 1])
    image.save(tmp_path / 'a.png', transparency=1)
    assert load_image(tmp_path / 'a.png').tolist() == [[[7, 8, 9], [255, 255, 255]]]


@pytest.mark.parametrize('suffix', ['png', 'tif'])
def test_sixteen_bits_are_scaled(suffix, tmp_path):
    """Truncation would turn 256 into 0, clipping everything above 255 into 255."""
    values = np.array([[0, 256, 257, 32896, 65535]], np.uint16)
    path = save(values, tmp_path / f'a.{suffix}')
    assert load_image(path)[0, :, 0].tolist() == [0, 1, 1, 128, 255]
    assert array_to_bgr(values)[0, :, 0].tolist() == [0, 1, 1, 128, 255]


def test_sixteen_bit_color_is_scaled(tmp_path):
    import cv2

    values = np.zeros((2, 2, 3), np.uint16)
    values[0] = (65535, 32896, 256)
    cv2.imwrite(str(tmp_path / 'a.png'), values)
    assert load_image(tmp_path / 'a.png')[0, 0].tolist() == [255, 128, 1]


def test_other_numbers_are_scaled():
    image = Image.fromarray(np.array([[0, 0.5, 1, np.nan]], np.float32))
    assert pil_to_bgr(image)[0, :, 0].tolist() == [0, 128, 255, 0]
    image = Image.fromarray(np.array([[0, 65535]], np.int32))
    assert pil_to_bgr(image)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize('shape', [(1, 7), (7, 1), (1, 1)])
def test_one_pixel_wide(shape, tmp_path):
    path = save(np.full((*shape, 3), 7, np.uint8), tmp_path / 'a.png')
    assert load_image(path).shape == (*shape, 3)


@pytest.mark.parametrize('suffix', ['png', 'jpg', 'webp', 'gif', 'bmp', 'tif'])
def test_truncated_files_are_named(suffix, photo, tmp_path):
    """OpenCV would return None or half a picture."""
    path = save(photo.repeat(8, 0).repeat(8, 1), tmp_path / f'a.{suffix}')
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=rf'a\.{suffix}'):
        load_image(path)


def test_unusable_files_are_named(tmp_path):
    with pytest.raises(ImageError, match=r'a\.png does not exist'):
        load_image(tmp_path / 'a.png')
    (tmp_path / 'a.png').write_bytes(b'')
    with pytest.raises(ImageError, match=r'a\.png is empty'):
        load_image(tmp_path / 'a.png')
    (tmp_path / 'a.png').write_bytes(b'GIF? no, text')
    with pytest.raises(ImageError, match=r'a\.png is not an image'):
        load_image(tmp_path / 'a.png')
    with pytest.raises(ImageError, match='folder'):
        load_image(tmp_path)
    with pytest.raises(ImageError, match='cannot be fetched'):
        load_image('nowhere://a.png')


@pytest.mark.parametrize(
    'array',
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), bool),
    ],
)
def test_unclear_arrays_are_refused(array):
    with pytest.raises(ImageError, match='An image array must be'):
        array_to_bgr(array)


def test_folder_lists_images_by_name(photo, tmp_path):
    for name in ('b.JPG', 'a.png', '.hidden.png', 'notes.txt'):
        (tmp_path / name).write_bytes(b'x')
    (tmp_path / 'sub').mkdir()
    found = find_images(tmp_path)
    assert [os.path.basename(x) for x in found] == ['a.png', 'b.JPG']
    with pytest.raises(ImageError, match='holds no image'):
        find_images(tmp_path / 'sub')


def test_json_is_readable(tmp_path):
    write_json(tmp_path / 'a.json', dict(name='Maß'))
    assert 'Maß' in (tmp_path / 'a.json').read_text(encoding='utf-8')


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_label_pngs_keep_their_values(dtype, tmp_path):
    values = np.array([[0, 1, np.iinfo(dtype).max]], dtype)
    write_png(tmp_path / 'a.png', values)
    found = np.asarray(Image.open(io.BytesIO((tmp_path / 'a.png').read_bytes())))
    assert (found == values).all()


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / 'a.png')
    return tmp_path / 'a.png'


def test_what_is_no_file_is_never_waited_for(pipe, tmp_path):
    server = socket.socket(socket.AF_UNIX)
    (tmp_path / 'link').symlink_to('nowhere')
    (tmp_path / 'folder.jpg').mkdir()
    with contextlib.closing(server):
        server.bind(str(tmp_path / 'socket'))
        for path, message in {
            pipe: 'a.png is a pipe or a device',
            '/dev/zero': '/dev/zero is a pipe or a device',
            tmp_path / 'socket': 'socket cannot be read',
            tmp_path / 'link': 'link is a link to nothing',
            tmp_path / 'folder.jpg': 'folder.jpg is a folder',
            'x' * 300: 'x cannot be read: File name too long',
            'a\0b': r'a\\x00b cannot be read: embedded null',
        }.items():
            with pytest.raises(ImageError, match=message):
                load_image(path)
    with pytest.raises(ImageError, match='pipe'):
        read_photo(str(pipe))
    with pytest.raises(FileNotFoundError):
        read_photo(str(tmp_path / 'missing.png'))


def test_names_in_messages_do_nothing_to_a_terminal(tmp_path):
    """Bytes that are no UTF-8, and what clears a screen or starts a line."""
    for name in (b'x\xe9', b'a\x1b[2J\n', 'a\u202eb'.encode()):
        path = os.path.join(os.fsencode(tmp_path), name + b'.png')
        with open(path, 'wb') as file:
            file.write(b'x')
        (found,) = find_images(tmp_path)
        with pytest.raises(ImageError) as caught:
            load_image(found)
        assert str(caught.value).isprintable()
        os.remove(path)


def test_images_that_would_fill_the_memory(tmp_path, monkeypatch):
    Image.new('1', (20000, 20000)).save(tmp_path / 'bomb.png')
    with pytest.raises(ImageError, match=r'bomb\.png has too many pixels'):
        load_image(tmp_path / 'bomb.png')
    with open(tmp_path / 'sparse.png', 'wb') as file:
        file.truncate(1 << 40)
    with pytest.raises(ImageError, match=r'sparse.png has 1099511627776 bytes'):
        load_image(tmp_path / 'sparse.png')
    Image.new('RGBA', (5, 4)).save(tmp_path / 'a.png')

    def fill(self, *args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(Image.Image, 'convert', fill)
    with pytest.raises(ImageError, match=r'a\.png of 5 x 4 pixels needs more memory'):
        load_image(tmp_path / 'a.png')
