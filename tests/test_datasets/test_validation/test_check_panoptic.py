import json
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from panoptic_files import dataset_config, segment, write_dataset

from mmovseg.datasets import PanopticDataset
from mmovseg.datasets.validation import PanopticCheck
from mmovseg.formats.panoptic_format import id_to_rgb


def draw():
    """Two images; labels are wall 0, dog 1, sky 2, kite 3."""
    first = np.array([[70000, 70000, 6], [6, 6, 0]])
    second = np.array([[9, 9], [8, 8]])
    return {
        'a': (first, [segment(70000, 7), segment(6, 3)]),
        'b': (second, [segment(9, 90), segment(8, 12, iscrowd=1)]),
    }


@pytest.fixture
def root(tmp_path):
    write_dataset(tmp_path, draw())
    return tmp_path


def make_check(root, **changes):
    return PanopticCheck(
        PanopticDataset(**dataset_config(root, lazy_init=True, **changes))
    )


def change(root, edit):
    path = root / 'annotations' / 'panoptic_val.json'
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def check_all(root):
    """Merge the findings of the JSON and of every image."""
    check = make_check(root)
    for index in range(len(check)):
        check.found.add(check.check(index))
    return check.found


def the_problem(root):
    """The only problem: its kind and text."""
    ((kind, (text,)),) = check_all(root).problems.items()
    return kind, text


def png(root, stem='a'):
    return str(root / 'annotations' / 'panoptic_val' / f'{stem}.png')


def test_a_sound_data_set(root):
    check = make_check(root)
    assert not check.found.problems and not check.found.notes
    assert (check.names, len(check)) == (('wall', 'dog', 'sky', 'kite'), 2)
    assert check.is_thing == (False, True, False, True)
    first, second = check.check(0), check.check(1)
    assert not first.problems and not second.problems
    assert first.pixels == {0: 2, 1: 3} and first.ignored == {0: 1}
    assert second.pixels == {2: 2, 3: 2} and second.segments == {2: 1, 3: 1}
    image, ids, segments = check.load(0)
    assert image.shape == (2, 3, 3)
    assert ids.tolist() == draw()['a'][0].tolist()
    assert segments[0] == {'id': 70000, 'category_id': 0, 'isthing': False}


def test_missing_and_broken_files(root):
    (root / 'val' / 'a.jpg').unlink()
    Path(png(root, 'b')).write_bytes(b'x')
    texts = check_all(root).problems['file']
    assert len(texts) == 2
    assert 'a.jpg' in texts[0] and 'b.png' in texts[1]


def test_missing_json_and_folder(root, tmp_path):
    (root / 'annotations' / 'panoptic_val.json').unlink()
    check = make_check(root)
    assert len(check) == 0
    assert 'panoptic_val.json' in check.found.problems['file'][0]
    check = make_check(tmp_path / 'nowhere')
    assert check.found.problems


def test_png_that_the_json_does_not_know_is_noted(root):
    mmcv.imwrite(np.zeros((2, 2, 3), np.uint8), png(root, 'spare'))
    found = check_all(root)
    assert not found.problems
    assert 'spare.png' in found.notes['ids'][0]


def test_ids_of_one_side_only(root):
    ids = np.array([[70000, 70000, 5], [5, 5, 0]])
    mmcv.imwrite(id_to_rgb(ids)[..., ::-1], png(root))
    texts = check_all(root).problems['ids']
    assert 'in the PNG and not in the JSON: 5 (3 pixels)' in texts[0]
    assert 'in the JSON and not in the PNG: 6' in texts[1]


def test_swapped_channels_are_recognized(root):
    mmcv.imwrite(id_to_rgb(draw()['a'][0]), png(root))
    kind, text = the_problem(root)
    assert kind == 'packing' and 'swapped' in text


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_grey_png_is_no_packing(root, dtype):
    cv2.imwrite(png(root), draw()['a'][0].astype(dtype))
    kind, text = the_problem(root)
    assert kind == 'packing' and 'id_to_rgb' in text


def test_sizes(root):
    mmcv.imwrite(np.zeros((4, 3, 3), np.uint8), str(root / 'val' / 'a.jpg'))
    kind, text = the_problem(root)
    assert kind == 'size' and '(4, 3)' in text and '(2, 3)' in text
    mmcv.imwrite(np.zeros((2, 3, 3), np.uint8), str(root / 'val' / 'a.jpg'))
    ids = np.vstack([draw()['a'][0], [[0, 0, 0]]])
    mmcv.imwrite(id_to_rgb(ids)[..., ::-1], png(root))
    kind, text = the_problem(root)
    assert kind == 'size' and 'a.png is (3, 3)' in text


@pytest.mark.parametrize('flag', [None, 2, 'yes'])
def test_thing_flags_must_be_0_or_1(root, flag):
    def edit(content):
        content['categories'][1]['isthing'] = flag

    change(root, edit)
    kind, text = the_problem(root)
    assert kind == 'flags' and text.endswith('dog')


def test_stuff_in_several_segments_is_noted(root):
    ids = np.array([[70000, 70000, 6], [6, 6, 7]])
    mmcv.imwrite(id_to_rgb(ids)[..., ::-1], png(root))

    def edit(content):
        segments = content['annotations'][0]['segments_info']
        segments.append(segment(7, 7))

    change(root, edit)
    found = check_all(root)
    assert not found.problems
    assert found.notes['flags'][0].endswith(': wall')


def test_wrong_area_is_noted(root):
    def edit(content):
        content['annotations'][0]['segments_info'][0]['area'] = 1

    change(root, edit)
    assert '70000' in check_all(root).notes['ids'][0]


@pytest.mark.parametrize(
    ('edit', 'kind', 'part'),
    [
        (lambda c: c['images'].append(c['images'][0]), 'json', 'image ids'),
        (lambda c: c['annotations'].pop(), 'json', 'b.jpg'),
        (lambda c: c['images'].pop(), 'json', 'not listed: 101'),
        (lambda c: c['categories'].append(c['categories'][0]), 'json', 'category ids'),
        (
            lambda c: c['annotations'][0]['segments_info'][1].update(category_id=5),
            'ids',
            'unknown category 5',
        ),
        (
            lambda c: c['annotations'][0]['segments_info'][1].update(id=70000),
            'ids',
            'listed twice: 70000',
        ),
        (
            lambda c: c['annotations'][0]['segments_info'][1].update(id=2**24),
            'ids',
            '16777215',
        ),
        (lambda c: c['images'][0].pop('height'), 'json', '1 of 2 images lack'),
        (lambda c: c['categories'][0].pop('name'), 'json', '1 of 4 categories'),
        (lambda c: c.pop('categories'), 'json', "['categories']"),
        (
            lambda c: c['annotations'][0].pop('segments_info'),
            'json',
            'file of the instances',
        ),
    ],
)
def test_a_json_that_contradicts_itself(root, edit, kind, part):
    change(root, edit)
    texts = check_all(root).problems[kind]
    assert any(part in text for text in texts), texts


def test_an_empty_image_is_noted(root):
    mmcv.imwrite(np.zeros((2, 3, 3), np.uint8), png(root))

    def edit(content):
        content['annotations'][0]['segments_info'] = []

    change(root, edit)
    found = check_all(root)
    assert not found.problems and 'a.png' in found.notes['use'][0]


def test_photos_are_where_the_data_set_says(root):
    """As in Cityscapes, whose JSON names photos that do not exist."""

    class Elsewhere(PanopticDataset):
        def _parse_image(self, image, annotations):
            info = super()._parse_image(image, annotations)
            path = Path(info['img_path'])
            return {**info, 'img_path': str(path.parent / f'city_{path.name}')}

    for path in (root / 'val').iterdir():
        path.rename(path.with_name(f'city_{path.name}'))
    assert len(check_all(root).problems['file']) == 2
    check = PanopticCheck(Elsewhere(**dataset_config(root, lazy_init=True)))
    assert not check.check(0).problems and not check.check(1).problems
    assert check.load(1)[0].shape == (2, 2, 3)
