"""Converters on wrong folders, broken files, what other tools made, and second runs."""

import json

import numpy as np
import pytest
from converter_tools import convert, load_tool, photo, times, write
from scipy.io import savemat

ADE, FULL, CITY = 'ade20k_panoptic', 'ade20k_full', 'cityscapes_panoptic'
PASCAL, VOC = 'pascal_context', 'voc_aug'


def write_ade(root, split='validation', stems=('a', 'b')):
    for stem in stems:
        write(
            root / f'annotations/{split}/{stem}.png', np.array([[1, 8, 49]], np.uint8)
        )
        things = np.array([[[0, 0, 0], [1, 1, 0], [0, 0, 0]]], np.uint8)
        write(root / f'annotations_instance/{split}/{stem}.png', things)


def write_city(root, split='val', stems=('a', 'b')):
    for stem in stems:
        path = root / f'gtFine/{split}/city/{stem}_gtFine_instanceIds.png'
        write(path, np.array([[7, 26000, 26]], np.uint16))


def write_full(root, stems, folder='training'):
    for stem in stems:
        path = root / f'images/ADE/{folder}/street/{stem}.jpg'
        write(path, photo(4, 6))
        write(path.with_name(f'{stem}_seg.png'), np.zeros((4, 6, 3), np.uint8))


def write_context(root):
    for split, stem in (('train', 'a'), ('val', 'b')):
        path = root / f'ImageSets/Main/{split}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{stem}\n')
        (root / 'trainval').mkdir(exist_ok=True)
        labels = np.array([[0, 2, 459]], np.uint16)
        savemat(root / f'trainval/{stem}.mat', {'LabelMap': labels})


def write_voc(root):
    """Give the options; image "a" is VOC's and "b" of SBD."""
    (root / 'ImageSets/Segmentation').mkdir(parents=True)
    (root / 'sbd/cls').mkdir(parents=True)
    for folder, train in (('ImageSets/Segmentation', 'a\n'), ('sbd', 'b\n')):
        (root / folder / 'train.txt').write_text(train)
        (root / folder / 'val.txt').write_text('')
    write(root / 'SegmentationClass/a.png', np.zeros((1, 3), np.uint8))
    field = {'Segmentation': np.array([[0, 5, 20]], np.uint8)}
    savemat(root / 'sbd/cls/b.mat', {'GTcls': field})
    return '--sbd', str(root / 'sbd')


def panoptic_set(name, root):
    """Write two images; give PNG folder, panoptic JSON and instance JSON."""
    if name == ADE:
        write_ade(root)
        files = [root / f'ade20k_{kind}_val' for kind in ('panoptic', 'instance')]
    else:
        write_city(root)
        base = root / 'gtFine'
        files = [base / f'cityscapes_{kind}_val' for kind in ('panoptic', 'instance')]
    return files[0], *(file.with_suffix('.json') for file in files)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


# Splits and folders


def test_ade20k_frames_are_for_training(tmp_path):
    write_full(tmp_path, ['ADE_train_1', 'ADE_frame_2'])
    write_full(tmp_path, ['ADE_val_3'], 'validation')
    convert(FULL, tmp_path)
    made = tmp_path / 'annotations_detectron2'
    assert {path.stem for path in (made / 'training').iterdir()} == {
        *('ADE_train_1', 'ADE_frame_2')
    }
    assert [path.stem for path in (made / 'validation').iterdir()] == ['ADE_val_3']


@pytest.mark.parametrize(
    ('name', 'folder'),
    [
        (ADE, 'annotations_instance'),
        (FULL, 'images/ADE'),
        (CITY, 'gtFine'),
        (PASCAL, ''),
    ],
)
def test_a_wrong_folder_is_named(tmp_path, name, folder):
    (tmp_path / 'trainval').mkdir()
    lists = tmp_path / 'ImageSets/Main'
    lists.mkdir(parents=True)
    for split in ('train', 'val'):
        (lists / f'{split}.txt').write_text('a\n')
    with pytest.raises(SystemExit, match=rf'^error: Found no .*{tmp_path / folder}'):
        convert(name, tmp_path)


def test_context_without_source(tmp_path):
    with pytest.raises(SystemExit, match=r'^error: .*neither .*trainval nor'):
        convert(PASCAL, tmp_path)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        (
            ADE,
            r'training: found 0 .*/annotations_instance \(a download.* has 20210.*--s',
        ),
        (FULL, r'training: found 0 .*/images/ADE, the dataset has 25574.* --splits'),
        (CITY, r'train: found 0 .*/gtFine, the dataset has 2975.* --splits'),
        (PASCAL, r'train: found 1 .*, the dataset has 4998. --partial'),
        (VOC, r'trainaug: found 2 .*/cls, the dataset has 10582. --partial .*there.$'),
    ],
)
def test_incomplete_downloads_are_refused(tmp_path, name, message):
    options = write_voc(tmp_path) if name == VOC else ()
    write_context(tmp_path)
    with pytest.raises(SystemExit, match=f'^error: {message}'):
        load_tool(name).main([str(tmp_path), '--workers', '1', *options])


@pytest.mark.parametrize(
    ('name', 'split', 'other', 'write_split'),
    [
        (ADE, 'validation', 'training', write_ade),
        (CITY, 'val', 'train', write_city),
        (FULL, 'validation', 'training', None),
    ],
)
def test_a_complete_split_is_enough(
    tmp_path, monkeypatch, name, split, other, write_split
):
    if write_split:
        write_split(tmp_path, split)
        write_split(tmp_path, other)
    else:
        write_full(tmp_path, ['ADE_val_1', 'ADE_val_2'], 'validation')
        write_full(tmp_path, ['ADE_train_3'])
    tool = load_tool(name)
    options = [str(tmp_path), '--workers', '1', '--splits', split]
    monkeypatch.setitem(tool.SPLITS, split, 3)
    with pytest.raises(SystemExit, match=rf'^error: {split}: found 2 .* has 3. --part'):
        tool.main(options)
    monkeypatch.setitem(tool.SPLITS, split, 2)
    before = set(tmp_path.rglob('*'))
    tool.main(options)
    made = {path.name for path in set(tmp_path.rglob('*')) - before}
    assert made
    assert not [name for name in made if 'train' in name]


def test_the_splits_of_context(tmp_path):
    write_context(tmp_path)
    convert(PASCAL, tmp_path, '--splits', 'val')
    maps = tmp_path / 'SegmentationClassContext'
    assert [path.name for path in maps.iterdir()] == ['b.png']


# What is there


@pytest.mark.parametrize('kind', [1, 2], ids=['panoptic', 'instance'])
@pytest.mark.parametrize('name', [ADE, CITY])
def test_files_with_other_classes_are_not_overwritten(tmp_path, name, kind):
    files = panoptic_set(name, tmp_path)
    convert(name, tmp_path)
    content = json.loads(files[kind].read_text())
    content['categories'] = [  # as mmdet's converter of ADE20K: things first
        {**category, 'id': number}
        for number, category in enumerate(
            sorted(content['categories'], key=lambda cat: -cat.get('isthing', 1))
        )
    ]
    files[kind].write_text(json.dumps(content))
    before = files[kind].read_bytes()
    with pytest.raises(SystemExit, match=f'^error: {files[kind]} .* not overwritten'):
        convert(name, tmp_path)
    assert files[kind].read_bytes() == before


def test_colors_and_supercategories_may_differ(tmp_path):
    _, panoptic, _ = panoptic_set(CITY, tmp_path)
    convert(CITY, tmp_path)
    content = json.loads(panoptic.read_text())
    for category in content['categories']:  # as those of cityscapesscripts
        category.update(supercategory='flat', color=[0, 0, 0])
    panoptic.write_text(json.dumps(content))
    before = times(tmp_path)
    convert(CITY, tmp_path)
    assert times(tmp_path) == before


@pytest.mark.parametrize('name', [ADE, CITY])
def test_pngs_of_other_tools_are_not_overwritten(tmp_path, name):
    folder, panoptic, _ = panoptic_set(name, tmp_path)
    convert(name, tmp_path)
    panoptic.unlink()
    png = next(folder.glob('b*.png'))
    write(png, np.full((1, 3, 3), 9, np.uint8))
    before = png.read_bytes()
    with pytest.raises(SystemExit, match=f'^error: {png} .* not overwritten'):
        convert(name, tmp_path)
    assert png.read_bytes() == before


def contents(files):
    return [file.read_bytes() for file in files]


@pytest.mark.parametrize('name', [ADE, CITY])
def test_a_second_run_takes_up_the_first(tmp_path, monkeypatch, name, capsys):
    """Also where --partial has made some of the images, which the JSON then has."""
    folder, *files = panoptic_set(name, tmp_path)
    convert(name, tmp_path)
    expected = contents(files)
    first, second = sorted(folder.iterdir())
    for file in (*files, second):
        file.unlink()
    tool = load_tool(name)
    convert_one, calls = tool.convert, []

    def stop(task):
        calls.append(task)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return convert_one(task)

    first.unlink()
    monkeypatch.setattr(tool, 'convert', stop)
    with pytest.raises(KeyboardInterrupt):
        convert(tool, tmp_path)
    assert [*folder.iterdir()] == [first]
    assert not any(file.exists() for file in files)
    monkeypatch.undo()
    before = first.stat().st_mtime_ns
    convert(tool, tmp_path)
    assert contents(files) == expected
    assert first.stat().st_mtime_ns == before
    assert second.is_file()

    write_more = write_ade if name == ADE else write_city
    write_more(tmp_path, stems=['c'])
    before = times(folder)
    convert(tool, tmp_path)
    after = times(folder)
    assert len(after) == 3
    assert before.items() <= after.items()
    assert len(json.loads(files[0].read_text())['images']) == 3
    capsys.readouterr()
    convert(tool, tmp_path)
    assert 'is complete' in capsys.readouterr().out


def test_fewer_sources_do_not_shrink_a_complete_file(tmp_path):
    _, *files = panoptic_set(ADE, tmp_path)
    convert(ADE, tmp_path)
    expected = contents(files)
    (tmp_path / 'annotations/validation/a.png').unlink()
    convert(ADE, tmp_path)
    assert contents(files) == expected


@pytest.mark.parametrize('size', ['empty', 'half', 'gone'])
@pytest.mark.parametrize('name', [ADE, CITY])
def test_broken_panoptic_files_are_made_again(tmp_path, name, size):
    folder, *files = panoptic_set(name, tmp_path)
    convert(name, tmp_path)
    files += folder.iterdir()
    expected = contents(files)
    for path in files:
        # A PNG that is cut in half is not looked into if the JSON files are whole.
        if size == 'half' and path.suffix == '.json':
            cut(path)
        elif size == 'gone':
            path.unlink()
        else:
            path.write_bytes(b'')
        convert(name, tmp_path)
        assert contents(files) == expected


def test_an_instance_file_that_lacks_images_is_made_again(tmp_path):
    _, *files = panoptic_set(ADE, tmp_path)
    convert(ADE, tmp_path)
    expected = contents(files)
    content = json.loads(files[1].read_text())
    content['images'].pop()
    files[1].write_text(json.dumps(content))
    convert(ADE, tmp_path)
    assert contents(files) == expected


@pytest.mark.parametrize('name', [FULL, PASCAL, VOC])
def test_empty_label_maps_are_made_again(tmp_path, name):
    options = ()
    if name == FULL:
        write_full(tmp_path, ['ADE_train_1'])
    elif name == PASCAL:
        write_context(tmp_path)
    else:
        options = write_voc(tmp_path)
    sources = set(tmp_path.rglob('*.*'))
    convert(name, tmp_path, *options)
    made = sorted(set(tmp_path.rglob('*.*')) - sources)
    expected = contents(made)
    for path in made:
        path.write_bytes(b'')
        convert(name, tmp_path, *options)
        assert contents(made) == expected


# Broken sources


@pytest.mark.parametrize('size', ['empty', 'half', 'another'])
def test_broken_mat_files_are_named(tmp_path, size):
    write_context(tmp_path)
    options = write_voc(tmp_path)
    for name, path, extra in (
        (PASCAL, tmp_path / 'trainval/b.mat', ()),
        (VOC, tmp_path / 'sbd/cls/b.mat', options),
    ):
        if size == 'half':
            cut(path)
        elif size == 'empty':
            path.write_bytes(b'')
        else:
            savemat(path, {'else': np.zeros(1)})
        with pytest.raises(SystemExit, match=f'^error: {path} cannot be read'):
            convert(name, tmp_path, *extra)


def test_a_broken_json_of_context_is_named(tmp_path):
    path = tmp_path / 'trainval_merged.json'
    path.write_text('{"images": [')
    with pytest.raises(SystemExit, match=f'^error: {path} is cut off'):
        convert(PASCAL, tmp_path)


@pytest.mark.parametrize('workers', [1, 2])
def test_broken_pngs_are_named(tmp_path, workers):
    options = write_voc(tmp_path)
    write_ade(tmp_path)
    write_city(tmp_path)
    write_full(tmp_path, ['ADE_train_1'])
    for name, path, extra in (
        (ADE, tmp_path / 'annotations/validation/b.png', ()),
        (CITY, tmp_path / 'gtFine/val/city/b_gtFine_instanceIds.png', ()),
        (FULL, tmp_path / 'images/ADE/training/street/ADE_train_1_seg.png', ()),
        (VOC, tmp_path / 'SegmentationClass/a.png', options),
    ):
        cut(path)
        with pytest.raises(SystemExit, match=f'^error: .*{path} is cut off'):
            convert(name, tmp_path, *extra, workers=workers)


def test_swapped_files_of_ade20k_are_named(tmp_path):
    write(tmp_path / 'annotations/validation/a.png', np.array([[1]], np.uint8))
    path = tmp_path / 'annotations_instance/validation/a.png'
    write(path, np.array([[[149, 0, 0]]], np.uint8))
    with pytest.raises(
        SystemExit, match=rf'^error: .* things in {path} to 149.*swapped'
    ):
        convert(ADE, tmp_path)
