"""Photos from folders, lists and COCO's JSON files."""

import json
import os

import pytest

from mmovseg.apis import ImageError
from mmovseg.apis.photo_list import list_photos


@pytest.fixture
def folder(tmp_path):
    for name in ('b.jpg', 'a.PNG', 'sub/c.jpg', 'sub/.hidden.jpg', 'notes.md'):
        path = tmp_path / 'photos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / 'photos'


def names(photos):
    return [photo.name for photo in photos]


def test_a_folder_with_all_below_it(folder):
    photos = list_photos([folder])
    assert names(photos) == ['a.PNG', 'b.jpg', 'sub/c.jpg']
    assert all(photo.path.is_file() for photo in photos)


def test_files_have_the_names_below_what_holds_all(folder):
    photos = list_photos([folder / 'sub' / 'c.jpg', folder / 'b.jpg'])
    assert names(photos) == ['b.jpg', 'sub/c.jpg']
    assert names(list_photos([folder / 'sub' / 'c.jpg'])) == ['c.jpg']
    photos = list_photos([folder / 'sub' / 'c.jpg'], root=folder.parent)
    assert names(photos) == ['photos/sub/c.jpg']


def test_a_photo_given_twice_is_one(folder):
    photos = list_photos([folder, folder / 'b.jpg'])
    assert names(photos) == ['a.PNG', 'b.jpg', 'sub/c.jpg']


def test_lists(folder):
    (folder / 'list.txt').write_bytes(b'\xef\xbb\xbfsub/c.jpg\r\n\n  b.jpg\n')
    images = [dict(id=1, file_name='a.PNG')]
    (folder / 'coco.json').write_text(json.dumps(dict(images=images)))
    assert names(list_photos([folder / 'list.txt'])) == ['b.jpg', 'sub/c.jpg']
    (photo,) = list_photos([folder / 'coco.json'])
    assert photo.name == 'a.PNG' and photo.path.is_file()


@pytest.mark.parametrize(
    'content, message',
    [
        ('[1, 2]', 'no JSON of COCO'),
        ('{"images": [{}]}', 'no JSON of COCO'),
        ('{"images": [{"file_name": 5}]}', 'no JSON of COCO'),
    ],
)
def test_wrong_lists(folder, content, message):
    (folder / 'x.json').write_text(content)
    with pytest.raises(ImageError, match=message):
        list_photos([folder / 'x.json'])


@pytest.mark.parametrize('name', ['x.tar', 'x.txt', 'x.json'])
def test_pipes_are_not_waited_for(folder, name):
    os.mkfifo(folder / name)
    assert names(list_photos([folder / name, folder / 'b.jpg'])) == ['b.jpg', name]


def test_what_is_not_there(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        list_photos([tmp_path / 'nowhere'])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ImageError, match='holds no image file'):
        list_photos([tmp_path / 'empty'])
    (folder / 'empty.txt').touch()
    with pytest.raises(ImageError, match='no photo'):
        list_photos([folder / 'empty.txt'])
    with pytest.raises(ImageError, match=r'not below.*--root'):
        list_photos([folder], root=folder / 'sub')
