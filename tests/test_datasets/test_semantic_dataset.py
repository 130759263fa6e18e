import mmcv
import numpy as np
import pytest

from mmovseg.datasets import SemanticDataset
from mmovseg.registry import DATASETS


@pytest.fixture
def root(tmp_path):
    for name in ('b/one', 'a/two', 'a/three'):
        photo = np.zeros((2, 3, 3), np.uint8)
        mmcv.imwrite(photo, str(tmp_path / 'images' / f'{name}.jpg'))
        labels = np.array([[0, 1, 2], [255, 1, 1]], np.uint8)
        mmcv.imwrite(labels, str(tmp_path / 'labels' / f'{name}.png'))
    return tmp_path


def config(root, **changes):
    return {
        'metainfo': {'classes': ['sky; heaven', 'dog; puppy', 'cat']},
        'data_root': str(root),
        'data_prefix': {'img_path': 'images', 'seg_map_path': 'labels'},
        **changes,
    }


def test_files_of_all_folders_with_the_first_names(root):
    pipeline = [
        {'type': f'mmovseg.{name}'}
        for name in ('LoadImageFromFile', 'LoadSemanticAnnotations')
    ]
    dataset = DATASETS.build(
        {'type': 'mmovseg.SemanticDataset', **config(root, pipeline=pipeline)}
    )
    assert dataset.metainfo['classes'] == ('sky', 'dog', 'cat')
    assert dataset.metainfo['label_map'] is None
    paths = [dataset.get_data_info(index)['img_path'] for index in range(3)]
    assert paths == [
        f'{root}/images/{name}.jpg' for name in ('a/three', 'a/two', 'b/one')
    ]
    assert dataset[2]['gt_seg_map'].tolist() == [[0, 1, 2], [255, 1, 1]]


def test_a_list_chooses_the_files(root):
    (root / 'val.txt').write_text('b/one\n')
    assert len(SemanticDataset('val.txt', **config(root))) == 1


def test_packaged_vocabularies_beyond_a_byte(root):
    meta = {'classes': 'plain/ade_847'}
    dataset = SemanticDataset(**config(root, metainfo=meta))
    assert len(dataset.metainfo['classes']) == len(dataset.metainfo['palette']) == 847


def test_missing_files_are_named(root):
    (root / 'labels/a/two.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 3 files.*labels: a/two\.png$'):
        SemanticDataset(**config(root))
    (root / 'val.txt').write_text('b/one\nb/none\n')
    with pytest.raises(FileNotFoundError, match=r'1 of 2 .*images: b/none\.jpg$'):
        SemanticDataset('val.txt', **config(root))


def test_photos_need_no_maps(root):
    prefix = {'img_path': 'images'}
    assert len(SemanticDataset(**config(root, data_prefix=prefix))) == 3


def test_missing_folders_and_empty_ones(root):
    with pytest.raises(FileNotFoundError, match=r'no \*\.tif in .*images\.'):
        SemanticDataset(**config(root, img_suffix='.tif'))
    prefix = {'img_path': 'images', 'seg_map_path': 'nowhere'}
    with pytest.raises(FileNotFoundError, match='nowhere'):
        SemanticDataset(**config(root, data_prefix=prefix))


def test_classes_are_needed(root):
    with pytest.raises(ValueError, match='needs metainfo=dict'):
        SemanticDataset(**config(root, metainfo=None))


def move(root, *pairs):
    for old, new in pairs:
        (root / old).rename(root / new)


def test_endings_count_in_any_case(root):
    move(
        root,
        ('images/a/two.jpg', 'images/a/two.JPG'),
        ('images/b/one.jpg', 'images/b/one.Jpeg'),
        ('labels/a/two.png', 'labels/a/two.PNG'),
    )
    dataset = SemanticDataset(**config(root))
    infos = [dataset.get_data_info(index) for index in range(3)]
    names = [info['img_path'].removeprefix(f'{root}/images/') for info in infos]
    assert names == ['a/three.jpg', 'a/two.JPG', 'b/one.Jpeg']
    assert infos[1]['seg_map_path'] == f'{root}/labels/a/two.PNG'
    (root / 'val.txt').write_text('b/one\na/two\n')
    dataset = SemanticDataset('val.txt', **config(root))
    assert dataset.get_data_info(0)['img_path'].endswith('one.Jpeg')


def test_photos_of_other_formats_are_not_left_out_in_silence(root):
    mmcv.imwrite(np.zeros((2, 3, 3), np.uint8), str(root / 'images/a/four.png'))
    with pytest.raises(ValueError, match=r'1 image files .*left out: a/four\.png'):
        SemanticDataset(**config(root))
    (root / 'val.txt').write_text('b/one\n')
    assert len(SemanticDataset('val.txt', **config(root))) == 1  # the user chose
    (root / 'images/a/four.png').rename(root / 'images/a/four.txt')
    assert len(SemanticDataset(**config(root))) == 3


def test_two_photos_with_one_map_are_refused(root):
    photo = np.zeros((2, 3, 3), np.uint8)
    mmcv.imwrite(photo, str(root / 'images/a/two.jpeg'))
    with pytest.raises(ValueError, match=r'a/two\.jpe?g and a/two\.jpe?g'):
        SemanticDataset(**config(root))


def test_photos_and_maps_may_share_a_folder(root):
    for name in ('b/one', 'a/two', 'a/three'):
        (root / f'labels/{name}.png').rename(root / f'images/{name}.png')
    prefix = {'img_path': 'images', 'seg_map_path': 'images'}
    assert len(SemanticDataset(**config(root, data_prefix=prefix))) == 3
    for name in ('b/one', 'a/two', 'a/three'):
        (root / f'images/{name}.png').rename(root / f'images/{name}_labels.jpg')
    dataset = SemanticDataset(
        **config(root, data_prefix=prefix, seg_map_suffix='_labels.jpg')
    )
    assert len(dataset) == 3


def test_a_missing_list_is_named(root):
    with pytest.raises(FileNotFoundError, match=r'no ann_file .*val\.txt'):
        SemanticDataset('val.txt', **config(root))


def test_labels_that_are_no_class_are_named(root):
    pipeline = [{'type': 'mmovseg.LoadSemanticAnnotations'}]
    meta = {'classes': ['sky', 'dog']}
    dataset = SemanticDataset(**config(root, pipeline=pipeline, metainfo=meta))
    with pytest.raises(ValueError, match=r'three\.png has labels.*2 classes.*\[2\]'):
        dataset[0]
