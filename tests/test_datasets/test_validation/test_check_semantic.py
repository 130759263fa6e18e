import mmcv
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from PIL import Image

from mmovseg.datasets.validation import SemanticCheck
from mmovseg.registry import TRANSFORMS

NAMES = ('sky', 'dog', 'kite')
MAPS = {'a': [[0, 0, 1], [1, 1, 255]], 'b': [[2, 2, 2], [0, 255, 255]]}


def write_map(path, values, dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, dtype)).save(path)


@pytest.fixture
def root(tmp_path):
    init_default_scope('mmovseg')
    for stem, values in MAPS.items():
        write_map(tmp_path / 'labels' / f'{stem}.png', values)
        photo = np.full((*np.shape(values), 3), 90, np.uint8)
        mmcv.imwrite(photo, str(tmp_path / 'images' / f'{stem}.jpg'))
    return tmp_path


def make_check(root, *loaders, names=None, **changes):
    options = dict(
        data_root=str(root),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        metainfo=dict(classes=NAMES),
        lazy_init=True,
    )
    loaders = [
        TRANSFORMS.build(step)
        for step in loaders or [dict(type='LoadSemanticAnnotations')]
    ]
    dataset = BaseSegDataset(**{**options, **changes})
    return SemanticCheck(dataset, loaders, names=names)


def check_all(check):
    for index in range(len(check)):
        check.found.add(check.check(index))
    return check.found


def the_problem(check):
    ((kind, (text,)),) = check_all(check).problems.items()
    return kind, text


def test_a_sound_data_set(root):
    check = make_check(root)
    assert (check.names, len(check), check.is_thing) == (NAMES, 2, None)
    first, second = check.check(0), check.check(1)
    assert first.pixels == {0: 2, 1: 3} and first.ignored == {255: 1}
    assert second.pixels == {0: 1, 2: 3} and second.ignored == {255: 2}
    assert not check_all(check).problems and not check.found.notes
    image, labels, _ = check.load(1)
    assert image.shape == (2, 3, 3) and labels.tolist() == MAPS['b']
    assert check.name_of(1) == 'b.jpg'


def test_labels_are_those_of_training(root):
    check = make_check(root, reduce_zero_label=True)
    assert check.check(0).pixels == {0: 3}
    assert check.check(0).ignored == {0: 2, 255: 1}
    decode = dict(type='LoadSemanticAnnotations', class_values=[2, 1])
    check = make_check(root, decode, metainfo=dict(classes=('kite', 'dog')))
    assert check.check(1).pixels == {0: 3}
    keep = dict(type='KeepSeenClasses', classes=NAMES, seen=['kite'], skip_empty=True)
    loader = dict(type='LoadSemanticAnnotations')
    check = make_check(root, loader, keep, names=['kite'])
    assert check.names == ('kite',)
    assert check.check(1).pixels == {0: 3}
    skipped = check.check(0)
    assert not skipped.pixels and not skipped.problems
    assert skipped.ignored == {0: 2, 1: 3, 255: 1}
    assert 'skipped' in skipped.notes['use'][0]
    assert check.load(0)[1].tolist() == [[255] * 3] * 2


def test_missing_and_broken_files(root):
    (root / 'labels' / 'a.png').unlink()
    (root / 'images' / 'b.jpg').write_bytes(b'')
    texts = check_all(make_check(root)).problems['file']
    assert len(texts) == 2
    assert 'a.png' in texts[0] and 'b.jpg' in texts[1]


def test_labels_without_image(root):
    write_map(root / 'labels' / 'c.png', [[0]])
    kind, text = the_problem(make_check(root))
    assert kind == 'file' and text.endswith('c.png')
    (root / 'list.txt').write_text('a\n')  # a list may leave files out
    assert not check_all(make_check(root, ann_file='list.txt')).problems


def test_another_suffix_and_no_folder(root):
    kind, text = the_problem(make_check(root, img_suffix='.png'))
    assert kind == 'file' and "{'.jpg': 2}" in text
    prefix = dict(img_path='nowhere', seg_map_path='labels')
    kind, text = the_problem(make_check(root, data_prefix=prefix))
    assert kind == 'file' and 'nowhere' in text


def test_sizes(root):
    write_map(root / 'labels' / 'a.png', [[0, 0]])
    kind, text = the_problem(make_check(root))
    assert kind == 'size' and '(1, 2)' in text and '(2, 3)' in text


def test_label_range(root):
    write_map(root / 'labels' / 'a.png', [[0, 3, 254], [1, 1, 255]])
    check = make_check(root)
    kind, text = the_problem(check)
    assert kind == 'range' and text.endswith(': 3, 254')
    assert check.check(0).ignored == {3: 1, 254: 1, 255: 1}


def test_sixteen_bits(root):
    write_map(root / 'labels' / 'a.png', [[0, 1, 2], [2, 2, 65535]], np.uint16)
    kind, text = the_problem(make_check(root))
    assert kind == 'range' and '65535' in text
    loader = dict(type='LoadSemanticAnnotations', ignore_index=65535)
    check = make_check(root, loader)
    assert check.check(0).pixels == {0: 1, 1: 1, 2: 3}
    assert not check.check(0).problems
    kind, text = the_problem(make_check(root, dict(type='mmseg.LoadAnnotations')))
    assert kind == 'range' and 'LoadSemanticAnnotations' in text


def test_colors_are_no_label_map(root):
    mmcv.imwrite(np.zeros((2, 3, 3), np.uint8), str(root / 'labels' / 'a.png'))
    kind, text = the_problem(make_check(root))
    assert kind == 'packing' and '3 channels' in text


def test_an_empty_map_is_noted(root):
    write_map(root / 'labels' / 'a.png', [[255] * 3] * 2)
    found = check_all(make_check(root))
    assert not found.problems and 'a.png' in found.notes['use'][0]


def test_classes_are_needed(root):
    with pytest.raises(ValueError, match='metainfo'):
        make_check(root, metainfo=None)


def test_data_sets_that_stop_at_missing_files_are_read_on(root):
    class Strict(BaseSegDataset):
        def load_data_list(self):
            raise FileNotFoundError('1 of 2 files are missing')

    (root / 'labels' / 'a.png').unlink()
    dataset = Strict(
        data_root=str(root),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        metainfo=dict(classes=NAMES),
        lazy_init=True,
    )
    check = SemanticCheck(
        dataset, [TRANSFORMS.build(dict(type='LoadSemanticAnnotations'))]
    )
    kind, text = the_problem(check)
    assert kind == 'file' and 'a.png' in text and len(check) == 2
