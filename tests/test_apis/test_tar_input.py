"""Shards of a WebDataset are photos like those of a folder."""

import base64
import io
import json
import os

import numpy as np
import pytest
from PIL import Image
from test_tar_files import write_tar

from mmovseg.apis import ImageError, OVSegInferencer, load_image
from mmovseg.apis.label_run import LabelChoice, LabelRun, Shard
from mmovseg.apis.photo_list import list_photos
from mmovseg.vocabulary import Vocabulary

NAMES = 'red, stuff: green, blue'
FORMATS = ['coco', 'yolo', 'labelme', 'voc']


def names(photos):
    return [photo.name for photo in photos]


def paint(index):
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[..., 1] = 255
    rgb[8:24, 4 * index : 4 * index + 16] = 255, 0, 0
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format='PNG')
    return buffer.getvalue()


def test_one_photo_of_each_sample(tmp_path):
    tar = write_tar(
        tmp_path / 'a.tar',
        [
            *(('1.json', b'{}'), ('1.png', b''), ('1.jpg', b''), ('1.seg.png', b'')),
            *(('2.x.jpg', b''), ('3.v1.jpg', b''), ('3.v2.jpg', b'')),
            *(('sub/1.webp', b''), ('sub/1.cls', b'5'), ('4.PNG', b'')),
        ],
    )
    expected = ['1.jpg', '2.x.jpg', '3.v1.jpg', '3.v2.jpg', '4.PNG', 'sub/1.webp']
    assert names(list_photos([tar])) == [f'a.tar/{x}' for x in expected]


def test_a_folder_of_shards(tmp_path):
    for index in range(3):
        write_tar(tmp_path / 'shards' / 'x' / f'{index}.tar', [('1.jpg', b'')])
    photos = list_photos([tmp_path / 'shards'])
    assert names(photos) == [f'x/{index}.tar/1.jpg' for index in range(3)]
    (tmp_path / 'shards' / 'a.jpg').touch()  # next to photos they are something else
    assert names(list_photos([tmp_path / 'shards'])) == ['a.jpg']
    (tmp_path / 'list.txt').write_text('shards/x/0.tar/1.jpg\n')
    assert names(list_photos([tmp_path / 'list.txt'])) == ['shards/x/0.tar/1.jpg']


def test_bad_shards(tmp_path):
    (tmp_path / 'a.tar').write_bytes(b'text')
    with pytest.raises(ImageError, match=r'a\.tar cannot be read as a tar file'):
        list_photos([tmp_path / 'a.tar'])
    write_tar(tmp_path / 'b.tar', [('1.json', b'{}')])
    with pytest.raises(ImageError, match=r'b\.tar holds no image file'):
        list_photos([tmp_path / 'b.tar'])
    write_tar(tmp_path / 'c.tar', [('1.jpg', b''), ('2.jpg', b'x')])
    with pytest.raises(ImageError, match=r'c\.tar/1\.jpg is empty'):
        load_image(tmp_path / 'c.tar' / '1.jpg')
    with pytest.raises(ImageError, match=r'c\.tar/3\.jpg does not exist'):
        load_image(tmp_path / 'c.tar' / '3.jpg')


def label(inferencer, photos, folder):
    run = LabelRun(folder, photos, dict(model='toy', classes=NAMES))
    todo = run.find_open(Shard())
    if todo:
        run.work(todo, inferencer.for_each)
    run.write_labels(FORMATS, LabelChoice(Vocabulary.from_string(NAMES)))
    return todo


def test_labels_are_those_of_the_same_photos_in_a_folder(color_config, tmp_path):
    inferencer = OVSegInferencer(color_config, vocabulary=NAMES, show_progress=False)
    photos = {f'{index}.png': paint(index) for index in range(4)}
    # A folder that is called as the shard, so that all names are the same.
    loose = tmp_path / 'loose' / 'a.tar'
    loose.mkdir(parents=True)
    for name, content in photos.items():
        (loose / name).write_bytes(content)
    tar = write_tar(tmp_path / 'packed' / 'a.tar', photos.items())
    listed = list_photos([tar])
    out = {name: tmp_path / 'out' / name for name in ('loose', 'packed')}
    label(inferencer, list_photos([loose.parent]), out['loose'])
    assert len(label(inferencer, listed, out['packed'])) == 4
    files = [
        {
            path.relative_to(folder): path.read_bytes()
            for form in ('coco', 'yolo', 'voc')
            for path in sorted((folder / form).rglob('*'))
            if path.is_file()
        }
        for folder in out.values()
    ]
    assert files[0] == files[1] and len(files[0]) > 12
    copied = out['packed'] / 'yolo' / 'images' / 'a.tar' / '2.png'
    assert not copied.is_symlink() and copied.read_bytes() == photos['2.png']
    content = json.loads((out['packed'] / 'labelme' / 'a.tar' / '2.json').read_text())
    assert base64.b64decode(content['imageData']) == photos['2.png']
    # Nothing is done twice, also if the shard is written again with the same photos.
    assert not label(inferencer, listed, out['packed'])
    os.utime(tar, (1, 1))
    assert not label(inferencer, listed, out['packed'])
    write_tar(tar, [*list(photos.items())[:3], ('3.png', paint(9))])
    assert names(label(inferencer, listed, out['packed'])) == ['a.tar/3.png']


def test_a_photo_of_a_shard_that_is_damaged_stops_no_other(color_config, tmp_path):
    inferencer = OVSegInferencer(color_config, vocabulary=NAMES, show_progress=False)
    tar = write_tar(tmp_path / 'a.tar', [('0.png', paint(0)), ('1.png', b'no image')])
    label(inferencer, list_photos([tar]), tmp_path / 'out')
    failed = json.loads((tmp_path / 'out' / 'failed.json').read_text())
    assert list(failed) == ['a.tar/1.png']
