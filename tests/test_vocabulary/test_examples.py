import zipfile

import numpy as np
import pytest
from PIL import Image

from mmovseg.vocabulary import Vocabulary

NAMES = Vocabulary.from_names(['thing: red star; star', 'snow', 'sky; heaven'])


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    mask = np.zeros((6, 9), bool)
    mask[2:4, 3:7] = True
    return rng.integers(0, 255, (6, 9, 3)).astype(np.uint8), mask


def test_examples_belong_to_a_class_by_any_name_and_are_added(pair):
    one = NAMES.add_examples('Heaven', [pair])
    assert one.num_examples == (0, 0, 1) and NAMES.num_examples == (0, 0, 0)
    more = one.add_examples('sky', [pair, pair]).add_examples('star', [pair])
    assert more.num_examples == (1, 0, 3)
    assert repr(more).endswith('5 names, 4 examples)')
    assert len({NAMES, one, more}) == 3
    assert len({x.fingerprint for x in (NAMES, one, more)}) == 3


def test_names_without_examples_keep_their_hash():
    # Recorded before there were examples.
    assert Vocabulary.from_names(['dog']).fingerprint.startswith('d4f48471')


def test_images_and_masks_of_every_kind_are_the_same(pair, tmp_path):
    image, mask = pair
    Image.fromarray(image[..., ::-1]).save(tmp_path / 'a.png')
    Image.fromarray(mask.astype(np.uint8) * 7).save(tmp_path / 'm.png')
    rgba = np.zeros((6, 9, 4), np.uint8)
    rgba[mask] = 255
    Image.fromarray(rgba).save(tmp_path / 'drawn.png')
    palette = Image.fromarray(mask.astype(np.uint8) * 2)
    palette.putpalette([255, 255, 255, 0, 0, 0, 0, 0, 0])  # its background is white
    assert palette.mode == 'P'
    palette.save(tmp_path / 'palette.png')
    gray = np.stack([mask * 255, mask * 0 + 255], -1).astype(np.uint8)
    Image.fromarray(gray, 'LA').save(tmp_path / 'opaque.png')
    turned = Image.fromarray(mask.astype(np.uint8)).transpose(Image.Transpose.ROTATE_90)
    exif = turned.getexif()
    exif[0x0112] = 6  # shown turned by 90 degrees, as the mask is
    turned.save(tmp_path / 'turned.png', exif=exif)
    cmyk = Image.fromarray(np.repeat(mask[..., None], 3, -1) * np.uint8(255))
    expected = NAMES.add_examples('snow', [pair])
    for other in (
        (image, cmyk.convert('CMYK')),
        (image, palette),
        (image, str(tmp_path / 'palette.png')),
        (image, tmp_path / 'opaque.png'),
        (image, tmp_path / 'turned.png'),
        (str(tmp_path / 'a.png'), tmp_path / 'm.png'),
        (Image.fromarray(image[..., ::-1]), Image.fromarray(mask)),
        (image, mask.astype(np.int64)),
        [image, str(tmp_path / 'drawn.png')],
    ):
        assert NAMES.add_examples('snow', [other]) == expected


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda x: [], 'There is no example of .snow.: the list is empty'),
        (lambda x: [(x[0], x[1][:5])], '9 x 6 pixels, its mask 9 x 5'),
        (lambda x: [(x[0], x[1] & False)], 'Example 1 of .snow.: the mask is empty'),
        (lambda x: [x, ('no.jpg', x[1])], 'Example 2 of .snow.: .*no.jpg does not'),
        (lambda x: [(x[0], 'no.png')], 'Mask no.png does not exist'),
        (lambda x: [(x[0].astype(float), x[1])], 'must be uint8'),
        (lambda x: [(x[0], np.zeros((2, 6, 9, 1)))], r'a mask is \[H, W\]'),
        (lambda x: [(x[0], x[1].astype(str))], r'a mask is .* of <U5'),
    ],
)
def test_bad_examples_are_named(pair, change, message):
    with pytest.raises(ValueError, match=message):
        NAMES.add_examples('snow', change(pair))


@pytest.mark.parametrize('bad', ['photo.jpg', None, 3, [('a.jpg',)], ['ab'], [(1, 2)]])
def test_what_is_no_list_of_pairs(bad):
    with pytest.raises(TypeError, match=r'pair|path, an array'):
        NAMES.add_examples('snow', bad)


def test_a_class_is_chosen_by_name_alone(pair):
    with pytest.raises(TypeError, match='name of a class is a string, got 0'):
        NAMES.add_examples(0, [pair])


def test_an_unknown_class_gets_a_hint(pair):
    with pytest.raises(ValueError, match=r"no class 'snwo'\. Did you mean 'snow'"):
        NAMES.add_examples('snwo', [pair])
    twice = Vocabulary.from_names(['dog; pet', 'cat; pet'])
    with pytest.raises(ValueError, match=r'Several classes are called'):
        twice.find('pet')


def test_a_file_has_classes_and_examples(pair, tmp_path):
    full = NAMES.add_examples('snow', [pair, pair]).add_examples('sky', [pair])
    path = full.save(tmp_path / 'names.zip')
    assert Vocabulary.load(path) == full == Vocabulary.from_string(str(path))
    before = path.read_bytes()
    full.save(path)
    assert path.read_bytes() == before
    text = NAMES.save(tmp_path / 'names.txt')
    assert Vocabulary.load(text) == NAMES
    assert text.read_text().splitlines()[0] == 'thing: red star; star'
    assert Vocabulary.load(NAMES.save(tmp_path / 'plain.zip')) == NAMES


def test_files_that_cannot_be_written(pair, tmp_path):
    full = NAMES.add_examples('snow', [pair])
    with pytest.raises(ValueError, match=r"must end with '\.zip': examples need"):
        full.save(tmp_path / 'names.txt')
    with pytest.raises(ValueError, match=r"must end with '\.txt'"):
        NAMES.save(tmp_path / 'names.json')
    odd = Vocabulary((('a; b',),), (True,))
    with pytest.raises(ValueError, match='cannot be written'):
        odd.save(tmp_path / 'odd.txt')
    assert not list(tmp_path.iterdir())


def rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        parts = {x.filename: archive.read(x) for x in archive.infolist()}
    change(parts)
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def damage(parts):
    """Change a byte of the pixels of an example."""
    data = bytearray(parts['examples/000001_000000.png'])
    data[data.index(b'IDAT') + 8] ^= 1
    parts['examples/000001_000000.png'] = bytes(data)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (damage, r'names\.zip, example 0 of class 2 is damaged'),
        (lambda x: x.pop('classes.txt'), 'no vocabulary with examples'),
        (lambda x: x.pop('examples/000001_000000_mask.png'), 'its mask is missing'),
        (lambda x: x.update({'examples/000001_000000.png': b'x'}), 'is no PNG'),
        (lambda x: x.update({'classes.txt': b'snow'}), 'examples of class 2, and 1'),
        (lambda x: x.update({'classes.txt': b'a\na'}), r'names\.zip: .*both called'),
    ],
)
def test_damaged_files(pair, tmp_path, change, message):
    path = NAMES.add_examples('snow', [pair]).save(tmp_path / 'names.zip')
    rewrite(path, change)
    with pytest.raises(ValueError, match=message):
        Vocabulary.load(path)


def test_files_that_are_no_archive(tmp_path):
    path = tmp_path / 'names.zip'
    with pytest.raises(FileNotFoundError):
        Vocabulary.load(path)
    path.write_text('snow')
    with pytest.raises(ValueError, match='no vocabulary with examples, or damaged'):
        Vocabulary.load(path)


def test_vocabularies_in_a_row(pair):
    both = NAMES.add_examples('snow', [pair]) + Vocabulary.from_names(['dog'])
    assert both.names[-1] == 'dog' and both.num_examples == (0, 1, 0, 0)
    assert not (NAMES + Vocabulary.from_names(['dog'])).examples
