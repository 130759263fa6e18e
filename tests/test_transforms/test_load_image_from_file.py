import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmovseg.formats.image_file import load_image
from mmovseg.registry import TRANSFORMS


def test_fields_are_those_of_mmcv(tmp_path):
    path = str(tmp_path / 'a.png')
    mmcv.imwrite(np.arange(24, dtype=np.uint8).reshape(2, 4, 3), path)
    for options in ({}, {'to_float32': True}, {'color_type': 'grayscale'}):
        own = TRANSFORMS.build({'type': 'mmovseg.LoadImageFromFile', **options})
        other = mmcv.transforms.LoadImageFromFile(**options)
        results, expected = own({'img_path': path}), other({'img_path': path})
        assert results.keys() == expected.keys()
        np.testing.assert_array_equal(results['img'], expected['img'])
        assert results['img'].dtype == expected['img'].dtype
        assert results['ori_shape'] == results['img_shape'] == (2, 4)


def test_broken_image_is_named_or_skipped(tmp_path):
    path = tmp_path / 'broken.jpg'
    path.write_bytes(b'no image')
    load = {'type': 'mmovseg.LoadImageFromFile'}
    with pytest.raises(ValueError, match=r'broken\.jpg'):
        TRANSFORMS.build(load)({'img_path': str(path)})
    load['ignore_empty'] = True
    assert TRANSFORMS.build(load)({'img_path': str(path)}) is None


def write_photos(folder):
    """Photos of every kind: depth, color type, transparency, orientation, format."""
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (12, 18, 4), dtype=np.uint8)
    rgba[0, 0], rgba[0, 1] = (9, 9, 9, 0), (9, 9, 9, 255)
    photo = Image.fromarray(rgba).convert('RGB')
    turned = Image.Exif()
    turned[0x0112] = 6
    photo.save(folder / 'plain.png')
    photo.save(folder / 'plain.jpg')
    photo.save(folder / 'progressive.jpg', progressive=True)
    photo.save(folder / 'turned.jpg', exif=turned)
    photo.save(folder / 'turned.png', exif=turned)
    photo.save(folder / 'several.mpo', save_all=True, append_images=[photo])
    photo.save(folder / 'a.webp')
    photo.convert('L').save(folder / 'gray.jpg')
    photo.convert('CMYK').save(folder / 'cmyk.jpg')
    photo.convert('P').save(folder / 'palette.png', transparency=0)
    photo.convert('1').save(folder / 'bits.png')
    photo.convert('LAB').save(folder / 'lab.tif')
    Image.fromarray(rgba).save(folder / 'alpha.png')
    Image.fromarray(rgba).convert('LA').save(folder / 'gray_alpha.png')
    Image.fromarray(rgba).save(folder / 'alpha.webp', lossless=True)
    deep = rng.integers(0, 2**16, (12, 18, 4), dtype=np.uint16)
    cv2.imwrite(str(folder / 'deep_gray.png'), deep[..., 0])
    cv2.imwrite(str(folder / 'deep.png'), deep[..., :3])
    cv2.imwrite(str(folder / 'deep_alpha.png'), deep)
    bright = rng.random((12, 18)).astype(np.float32)
    bright[0, :3] = np.inf, -np.inf, np.nan
    Image.fromarray(bright).save(folder / 'float.tif')
    return sorted(folder.iterdir())


def test_training_and_inference_read_the_same(tmp_path):
    load = TRANSFORMS.build({'type': 'mmovseg.LoadImageFromFile'})
    for path in write_photos(tmp_path):
        image = load({'img_path': str(path)})['img']
        assert image.dtype == np.uint8, path
        np.testing.assert_array_equal(image, load_image(path), err_msg=str(path))
        size = (18, 12, 3) if 'turned' in path.name else (12, 18, 3)
        assert image.shape == size, path
        assert image.std() > 20, path  # neither black nor white


@pytest.mark.parametrize('name', ['plain', 'progressive', 'gray', 'turned'])
def test_jpegs_are_those_of_mmcv(tmp_path, name):
    write_photos(tmp_path)
    path = tmp_path / f'{name}.jpg'
    np.testing.assert_array_equal(load_image(path), mmcv.imread(str(path)))


def test_transparency_becomes_white(tmp_path):
    write_photos(tmp_path)
    load = TRANSFORMS.build({'type': 'mmovseg.LoadImageFromFile'})
    image = load({'img_path': str(tmp_path / 'alpha.png')})['img']
    assert image[0, :2].tolist() == [[255] * 3, [9] * 3]


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ([0, 0.5, 1, np.inf], [0, 128, 255, 255]),
        ([0, 0.5, 1, -np.inf], [0, 128, 255, 0]),
        ([0, 100, 255, np.inf], [0, 100, 255, 255]),
        ([np.nan, np.nan, np.inf, 0.25], [0, 0, 255, 64]),
        ([np.nan, np.inf, np.inf, np.nan], [0, 255, 255, 0]),
    ],
)
def test_one_infinity_does_not_turn_a_photo_black(tmp_path, values, expected):
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / 'a.tif')
    assert load_image(tmp_path / 'a.tif')[0, :, 0].tolist() == expected


def test_postscript_is_never_started(tmp_path):
    """Pillow would hand it to Ghostscript, whatever the name says."""
    header = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n'
    (tmp_path / 'a.jpg').write_bytes(header)
    load = TRANSFORMS.build({'type': 'mmovseg.LoadImageFromFile'})
    with pytest.raises(ValueError, match=r'a\.jpg is not an image of a known format'):
        load({'img_path': str(tmp_path / 'a.jpg')})
