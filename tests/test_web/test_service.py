"""The service: results are those of the model, limits hold, nothing else is read."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from mmovseg.formats.image_file import decode_photo
from mmovseg.labels import FORMATS, write_labels
from mmovseg.labels.photo_labels import PhotoLabels
from mmovseg.shapeworld.drawing import draw_numbered
from mmovseg.vocabulary import Vocabulary
from mmovseg.web.limits import Limits
from mmovseg.web.picture import draw_screen, fit_screen, number_segments
from mmovseg.web.service import RequestError, Service, clean_name

NAMES = 'purple circle, red cross, stuff: sand'


def read_zip(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def read_folder(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def decode(data):
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.fixture(scope='module')
def expected(web_model, drawing):
    return web_model.segment(decode_photo(drawing, 'a'), NAMES)


def test_results_are_those_of_the_model(service, drawing, expected):
    done = service.segment(NAMES, data=drawing, file_name='a b.png')
    assert done.to_dict() == dict(
        expected.to_dict('a b.png'), result=done.key, photo=done.photo.key, notes=[]
    )
    assert np.array_equal(decode(service.draw(done.key)), expected.overlay())
    labels = decode(service.draw_labels(done.key)).astype(int) @ (1, 256, 65536)
    assert np.array_equal(labels, expected.label_map)


def test_other_names_need_no_new_photo(service, drawing, web_model, monkeypatch):
    first = service.segment(NAMES, data=drawing, file_name='a.png')
    monkeypatch.setattr(service, '_encode', None)  # not called again
    second = service.segment('red cross', photo=first.photo.key)
    assert second.photo is first.photo
    assert {x.name for x in second.result.segments} <= {'red cross'}
    again = service.segment('red cross', data=drawing, file_name='a.png')
    assert again.result is second.result
    with pytest.raises(RequestError, match='not kept any more') as caught:
        service.segment(NAMES, photo='0' * 32)
    assert caught.value.status == 404


@pytest.mark.parametrize('form', FORMATS)
def test_label_files(service, drawing, expected, tmp_path, form):
    names = 'car; red cross, person; purple circle, stuff: road; sand'
    done = service.segment(names, data=drawing, file_name='a.png')
    if problem := service.find_problem(done, form):
        assert form == 'label-studio' and 'pip install' in problem
        with pytest.raises(RequestError, match='pip install'):
            service.write_labels(done.key, form)
        return
    found = read_zip(service.write_labels(done.key, form))
    photo = PhotoLabels.from_result(done.result, 'a.png')
    write_labels([form], [photo], Vocabulary.from_string(names), tmp_path)
    wanted = read_folder(tmp_path)
    if form == 'yolo':  # the photo is there as well
        wanted['yolo/images/a.png'] = drawing
    assert found == wanted and len(found) > 0
    assert service.write_labels(done.key, form) == service.write_labels(done.key, form)


def test_small_segments_are_dropped(web_model, drawing, expected):
    areas = sorted(x.area for x in expected.segments)
    service = Service(web_model, min_area=areas[1])
    kept = service.segment(NAMES, data=drawing).result.segments
    assert sorted(x.area for x in kept) == areas[1:]
    every = service.segment(NAMES, data=drawing, min_area=0).result.segments
    assert sorted(x.area for x in every) == areas


def test_formats_that_cannot_be_had(service, drawing):
    done = service.segment(NAMES, data=drawing, file_name='a.png')
    assert 'no class' in service.find_problem(done, 'cityscapes')
    with pytest.raises(RequestError, match='cityscapes has no class'):
        service.write_labels(done.key, 'cityscapes')
    with pytest.raises(RequestError, match="Did you mean 'coco'"):
        service.write_labels(done.key, 'cocoo')
    with pytest.raises(RequestError, match='not kept any more'):
        service.write_labels('nothing', 'coco')


def make_png(width, height):
    """Return the start of a PNG of any size, and its end."""
    buffer = io.BytesIO()
    Image.new('1', (1, 1)).save(buffer, format='PNG')
    data = bytearray(buffer.getvalue())
    data[16:24] = width.to_bytes(4, 'big') + height.to_bytes(4, 'big')
    import zlib

    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, 'big')
    return bytes(data)


@pytest.mark.parametrize(
    'data, message, status',
    [
        (b'', r'a\.png is empty', 400),
        (b'no photo', r'a\.png is not an image of a known format', 400),
        (
            make_png(20000, 3000),
            r'60 million pixels \(20000 x 3000\).* 50 million',
            413,
        ),
        (make_png(20000, 10000), r'a\.png has .*pixels.* 50 million', 413),
        (b'x' * 3_000_000, r'a\.png has 3 megabytes.* 2 at most', 413),
    ],
)
def test_photos_that_cannot_be_used(web_model, data, message, status):
    service = Service(web_model, Limits(max_bytes=2_000_000))
    with pytest.raises(RequestError, match=message) as caught:
        service.segment(NAMES, data=data, file_name='../b/a.png')
    assert caught.value.status == status


def test_a_cut_photo(service, drawing):
    with pytest.raises(RequestError, match=r'a\.png is cut off after 900 bytes'):
        service.segment(NAMES, data=drawing[:900], file_name='a.png')


@pytest.mark.parametrize(
    'classes, message',
    [
        ('  ', 'Name at least one class'),
        (', '.join(f'name{x}' for x in range(11)), '11 names, .* 10 at most'),
        ('a; b; c; d, e; f; g; h, i; j; k', '11 names'),
        ('x' * 2000, '2,000 characters'),
        ('/etc/passwd.txt', 'no files of names are read'),
        ('/srv/names.ZIP', 'no files of names are read'),
        ('secret.TXT ', 'no files of names are read'),
        ('ade20k_15', "Did you mean 'ade20k_150'"),
        ('cat, cat', 'both called'),
        ('cat|dog', r"'\|'"),
    ],
)
def test_names_that_cannot_be_used(web_model, tmp_path, monkeypatch, classes, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'secret.TXT').write_text('secret')
    service = Service(web_model, Limits(max_names=10))
    with pytest.raises(RequestError, match=message):
        service.read_classes(classes)


def test_packaged_lists_and_notes(service):
    vocabulary, notes = service.read_classes('ade20k_150')
    assert len(vocabulary) == 150 and not notes
    _, [note] = service.read_classes('cat; kitten')
    assert 'one class with 2 names' in note


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(task='depth'), 'task must be one of panoptic'),
        (dict(score_thr=1.5), 'score_thr is from 0 to 1, got 1.5'),
        (dict(score_thr=float('nan')), 'score_thr is from 0 to 1'),
        (dict(min_area=-1), 'min_area is a number of pixels'),
        (dict(data=None), 'There is no photo'),
    ],
)
def test_options_that_cannot_be_used(service, drawing, options, message):
    with pytest.raises(RequestError, match=message):
        service.segment(NAMES, **{'data': drawing, **options})


def test_names_of_files():
    assert clean_name('C:\\photos\\a.jpg') == clean_name('/x/../a.jpg') == 'a.jpg'
    assert clean_name('..') == clean_name('') == 'photo'
    assert clean_name('a\nb.jpg') == 'a_b.jpg'
    long = clean_name('x' * 500 + '.jpg')
    assert len(long) <= 100 and long.endswith('.jpg')


@pytest.mark.parametrize('task', ['panoptic', 'instance', 'semantic'])
def test_pictures_for_the_screen(web_model, task):
    photo = draw_numbered(0, 'val', 5, 96).image[..., ::-1]
    result = web_model.segment(photo, NAMES, task=task, score_thr=0.3)
    large = web_model.segment(np.repeat(photo, 30, 1), NAMES, task=task, score_thr=0.3)
    for found, size in ((result, (800, 800)), (large, (53, 1600))):
        small = fit_screen(found)
        assert draw_screen(found).shape == (*size, 3)
        numbers = number_segments(small).astype(int) @ (1, 256, 65536)
        assert numbers.shape == size
        assert set(np.unique(numbers)) <= set(range(len(found.segments) + 1))
    # The numbers are places in the list of segments.
    whole = number_segments(result).astype(int) @ (1, 256, 65536)
    masks = result.masks() if task != 'semantic' else None
    for number, segment in enumerate(result.segments, 1):
        where = result.label_map == segment.id
        assert np.array_equal(whole == number, where)
        if masks is not None:
            assert (masks[number - 1] | ~where).all()
