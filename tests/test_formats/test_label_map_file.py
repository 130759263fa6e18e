import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mmovseg.formats.label_map_file import read_label_map
from mmovseg.transforms import LoadSemanticAnnotations

VALUES = np.arange(320).reshape(16, 20)


def encode_png(values, bits, palette=b''):
    """Write a gray or palette PNG of any depth, which Pillow cannot."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))

    rows = b''
    for row in values:
        text = ''.join(f'{value:0{bits}b}' for value in row.tolist())
        text += '0' * (-len(text) % 8)
        rows += b'\0' + int(text, 2).to_bytes(len(text) // 8, 'big')
    height, width = values.shape
    kind = 3 if palette else 0
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, bits, kind, 0, 0, 0))
        + (chunk(b'PLTE', palette) if palette else b'')
        + chunk(b'IDAT', zlib.compress(rows))
        + chunk(b'IEND', b'')
    )


@pytest.mark.parametrize(
    ('bits', 'has_palette'),
    [(bits, palette) for bits in (1, 2, 4, 8) for palette in (False, True)],
)
def test_values_of_every_depth_stay(tmp_path, bits, has_palette):
    palette = bytes(i * 7 % 256 for i in range(3 * 2**bits)) * has_palette
    values = VALUES % 2**bits
    (tmp_path / 'a.png').write_bytes(encode_png(values, bits, palette))
    np.testing.assert_array_equal(read_label_map(str(tmp_path / 'a.png')), values)


@pytest.mark.parametrize('suffix', ['png', 'tif', 'bmp', 'gif'])
@pytest.mark.parametrize('kind', [bool, np.uint8, 'palette'])
def test_lossless_formats_keep_values(tmp_path, suffix, kind):
    values = VALUES % (2 if kind is bool else 200)
    if kind == 'palette':
        image = Image.fromarray(values.astype(np.uint8), mode='P')
        image.putpalette(list(range(255, -1, -1)) * 3)
    else:
        image = Image.fromarray(values.astype(kind))
    path = tmp_path / f'a.{suffix}'
    image.save(path)
    if (kind, suffix) == (bool, 'gif'):
        values = values * 255  # what the file has: Pillow writes it so
    np.testing.assert_array_equal(read_label_map(str(path)), values)


@pytest.mark.parametrize(
    ('dtype', 'suffix'),
    [(np.uint16, 'png'), (np.uint16, 'tif'), (np.int32, 'tif'), (np.float32, 'tif')],
)
def test_whole_numbers_of_more_bits_are_labels(tmp_path, dtype, suffix):
    path = tmp_path / f'a.{suffix}'
    Image.fromarray((VALUES * 200).astype(dtype)).save(path)
    labels = read_label_map(str(path))
    assert np.issubdtype(labels.dtype, np.integer)
    np.testing.assert_array_equal(labels, VALUES * 200)


@pytest.mark.parametrize(
    ('values', 'suffix', 'words'),
    [
        (np.int32([[0, -1]]), 'tif', 'has the value -1'),
        (np.int32([[0, 65536]]), 'tif', 'has the value 65536'),
        (np.float32([[0, 0.5]]), 'tif', r'has the value 0\.5'),
        (np.float32([[0, np.nan]]), 'tif', 'has the value nan'),
        (np.float32([[0, np.inf]]), 'tif', 'has the value inf'),
        (np.float32([[0, -1]]), 'tif', 'has the value -1'),
        (np.uint8([[0, 1]]), 'jpg', 'is a JPEG file, which does not keep'),
        (np.uint8([[0, 1]]), 'webp', 'is a WEBP file'),
        (np.uint8([[0, 1]]), 'pgm', 'is a PPM file'),
        (np.zeros((2, 2, 3), np.uint8), 'png', 'is no label map, it has 3 channels'),
        (np.zeros((2, 2, 4), np.uint8), 'png', 'it has 4 channels'),
        (np.zeros((2, 2, 2), np.uint8), 'png', 'it has 2 channels'),
        (np.zeros((2, 2, 3), np.uint8), 'tif', 'it has 3 channels'),
    ],
)
def test_what_is_no_label_map_is_named(tmp_path, values, suffix, words):
    path = tmp_path / f'some_map.{suffix}'
    Image.fromarray(values).save(path)
    with pytest.raises(ValueError, match=words) as error:
        LoadSemanticAnnotations()({'seg_map_path': str(path)})
    assert path.name in str(error.value)


def test_the_content_decides_not_the_ending(tmp_path):
    path = tmp_path / 'a.png'
    Image.fromarray(np.uint8([[0, 1]])).save(path, format='JPEG')
    with pytest.raises(ValueError, match=r'a\.png is a JPEG'):
        read_label_map(str(path))


def test_inverted_and_signed_tiffs_are_refused(tmp_path):
    path = tmp_path / 'a.tif'
    image = Image.fromarray(np.uint8([[0, 255]]))
    image.save(path, tiffinfo={262: 0})  # white is 0
    with pytest.raises(ValueError, match=r'a\.tif stores inverted values'):
        read_label_map(str(path))
    image.save(path, tiffinfo={339: 2})  # signed: 255 is -1
    with pytest.raises(ValueError, match=r'a\.tif has the value -1'):
        read_label_map(str(path))


@pytest.mark.parametrize('ignore_index', [255, 65535])
def test_labels_that_are_no_class_of_the_dataset_are_named(tmp_path, ignore_index):
    path = tmp_path / 'a.png'
    Image.fromarray(np.uint16([[0, 2, ignore_index]])).save(path)
    load = LoadSemanticAnnotations(ignore_index=ignore_index)
    results = {'seg_map_path': str(path), 'num_classes': 3}
    assert load(dict(results))['gt_seg_map'].tolist() == [[0, 2, ignore_index]]
    results['num_classes'] = 2
    with pytest.raises(
        ValueError, match=r'a\.png.*neither one of the 2 classes.*\[2\]'
    ):
        load(results)
    load = LoadSemanticAnnotations([2, 0], ignore_index)  # says what counts
    assert load(results)['gt_seg_map'].tolist() == [[1, 0, ignore_index]]


def test_more_classes_than_a_byte_need_another_ignored_value(tmp_path):
    path = tmp_path / 'a.png'
    Image.fromarray(np.uint8([[0, 255]])).save(path)
    with pytest.raises(ValueError, match='300 classes, which need an ignore_index'):
        LoadSemanticAnnotations()({'seg_map_path': str(path), 'num_classes': 300})
