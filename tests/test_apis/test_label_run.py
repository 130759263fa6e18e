"""Labels of many photos: stopped, split, gone on with, and always the same bytes."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from mmovseg.apis import OutputError
from mmovseg.apis.label_run import LabelChoice, LabelRun, Shard, hash_weights
from mmovseg.apis.photo_list import list_photos
from mmovseg.apis.results import Result, Segment
from mmovseg.vocabulary import Vocabulary

CLASSES = Vocabulary.from_string('cat, cup, stuff: floor')
ABOUT = dict(model='toy', weights='1234', classes=list(CLASSES.names))
EVERYTHING = Shard()


class Killed(BaseException):
    """The process ends here."""


class Model:
    """Find a cat on the left, a cup in the middle and floor; may be killed."""

    def __init__(self, killed_after=None):
        self.done, self.killed_after = [], killed_after

    def for_each(self, paths, handle):
        errors = []
        for index, path in enumerate(paths):
            if len(self.done) == self.killed_after:
                raise Killed
            if 'broken' in path.name:
                errors.append(dict(input=str(path), message='is broken'))
                continue
            shade = int(np.asarray(Image.open(path))[0, 0, 0])
            label_map = np.repeat([[1, 2, 3, 3, 3, 3]], 4, 0)
            scores = 0.9, shade / 255, 0.3
            segments = [
                Segment(i + 1, i, name, thing, score, 4, [i, 0, 1 + 3 * (i == 2), 4])
                for i, (name, thing, score) in enumerate(
                    zip(CLASSES.names, CLASSES.is_thing, scores, strict=True)
                )
            ]
            handle(index, Result('panoptic', label_map, segments, CLASSES.names))
            self.done.append(path.name)
        return errors


@pytest.fixture
def photos(tmp_path):
    for index in range(9):
        path = tmp_path / 'photos' / f'{"sub/" * (index % 2)}{index}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 6, 3), 25 * index, np.uint8)).save(path)
    (tmp_path / 'photos' / 'broken.png').touch()
    return list_photos([tmp_path / 'photos'])


def label(folder, photos, *, shard=EVERYTHING, model=None, **choice):
    model = model or Model()
    run = LabelRun(folder, photos, ABOUT)
    run.work(run.find_open(shard), model.for_each)
    if not run.count_open():
        choice = LabelChoice(**{'vocabulary': CLASSES, **choice})
        run.write_labels(['coco', 'voc', 'yolo'], choice)
    return model


def read_labels(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file() and path.parts[len(folder.parts)] != 'records'
    }


def test_killed_twice_and_split_makes_the_same_bytes(photos, tmp_path):
    label(tmp_path / 'whole', photos)
    whole = read_labels(tmp_path / 'whole')
    assert {'coco/instances.json', 'voc/SegmentationClass/sub/3.png'} <= set(whole)
    split, done = tmp_path / 'split', []
    for shard, killed_after in [
        (Shard(1, 3), None),
        (Shard(0, 3), 1),
        (Shard(0, 3), 2),
        (Shard(2, 3), None),
        (Shard(0, 3), None),
    ]:
        model = Model(killed_after)
        try:
            label(split, photos, shard=shard, model=model)
        except Killed:
            assert not (split / 'coco').exists()
        done += model.done
    assert sorted(done) == sorted(f'{index}.png' for index in range(9))  # each once
    assert read_labels(split) == whole


def test_the_half_of_a_record_is_deleted_at_the_end(photos, tmp_path):
    half = tmp_path / 'out' / 'records' / 'sub' / '.0123456789ab.part'
    LabelRun(tmp_path / 'out', photos, ABOUT)  # the first part begins
    half.parent.mkdir(parents=True)
    half.touch()
    os.utime(half, (1e9, 1e9))
    other = half.with_name('.111111111111.part')
    other.touch()
    os.utime(other, (4e9, 4e9))  # of a part that is at work
    label(tmp_path / 'out', photos)
    assert not half.exists() and other.exists()


def test_what_could_not_be_used_is_told_and_tried_again(photos, tmp_path):
    label(tmp_path / 'out', photos)
    told = json.loads((tmp_path / 'out' / 'failed.json').read_text())
    assert told == {'broken.png': 'is broken'}
    run = LabelRun(tmp_path / 'out', photos, ABOUT)
    assert [photo.name for photo in run.find_open(EVERYTHING)] == ['broken.png']
    images = json.loads((tmp_path / 'out/coco/instances.json').read_text())['images']
    assert len(images) == 9


def test_a_photo_that_has_changed_is_done_again(photos, tmp_path):
    label(tmp_path / 'out', photos)
    first, second = photos[0].path, photos[1].path
    second.touch()  # other time, same content
    Image.fromarray(np.full((4, 6, 3), 200, np.uint8)).save(first)
    assert label(tmp_path / 'out', photos).done == [first.name]


def test_a_damaged_record_is_made_again(photos, tmp_path):
    label(tmp_path / 'out', photos)
    record = tmp_path / 'out' / 'records' / f'{photos[2].name}.json'
    record.write_text('{"photo"')
    assert label(tmp_path / 'out', photos).done == [photos[2].path.name]


def count(folder):
    content = json.loads((folder / 'coco' / 'instances.json').read_text())
    names = {x['id']: x['name'] for x in content['categories']}
    found = [names[x['category_id']] for x in content['annotations']]
    return {name: found.count(name) for name in names.values()}


def test_thresholds_and_other_classes_need_no_new_work(photos, tmp_path):
    out = tmp_path / 'out'
    label(out, photos)
    assert count(out) == dict(cat=9, cup=9, floor=9)
    again = label(out, photos, thresholds={'Cup': 0.5}, score_thr=0.4)
    assert not again.done and count(out) == dict(cat=9, cup=3, floor=0)
    kept = Vocabulary.from_string('cat, cup')
    again = label(out, photos, vocabulary=kept)
    assert not again.done and count(out) == dict(cat=9, cup=9)


def test_files_of_photos_that_are_gone_go_too(photos, tmp_path):
    label(tmp_path / 'out', photos)
    label(tmp_path / 'out', photos[1:])
    assert not (tmp_path / 'out/yolo/labels/0.txt').exists()
    assert photos[0].path.is_file()


def test_labels_corrected_by_hand_are_not_written_anew(photos, tmp_path):
    out = tmp_path / 'out'
    label(out, photos)
    (out / 'yolo/labels.cache').touch()  # YOLO does that
    label(out, photos)
    path = out / 'yolo/labels/0.txt'
    path.write_text('corrected')
    os.utime(path, (4e9, 4e9))
    with pytest.raises(OutputError, match=r'0\.txt was changed .* move .*yolo away'):
        label(out, photos)
    assert path.read_text() == 'corrected'
    (out / 'yolo').rename(tmp_path / 'mine')
    label(out, photos)
    assert path.read_text() != 'corrected'


def test_labels_of_a_stopped_run_are_written_anew(photos, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    label(out, photos)
    with monkeypatch.context() as patch:
        patch.setattr(LabelRun, 'read_failed', lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            label(out, photos)
    path = out / 'yolo/labels/0.txt'
    path.write_text('half of')
    label(out, photos)
    assert path.read_text() != 'half of'


def test_another_run_is_refused(photos, tmp_path):
    label(tmp_path / 'out', photos)
    with pytest.raises(OutputError, match='another run, with other weights'):
        LabelRun(tmp_path / 'out', photos, dict(ABOUT, weights='5'))
    (tmp_path / 'out' / 'run.json').write_text('{')
    with pytest.raises(OutputError, match='damaged'):
        LabelRun(tmp_path / 'out', photos, ABOUT)
    with pytest.raises(OutputError, match='holds no labels'):
        LabelRun(tmp_path / 'new', photos)


def test_labels_do_not_go_among_the_photos(photos, tmp_path):
    with pytest.raises(OutputError, match='is below it'):
        LabelRun(tmp_path / 'photos', photos, ABOUT)


def test_labels_below_the_photos_are_no_photos(photos, tmp_path):
    label(tmp_path / 'photos' / 'out', photos)
    assert list_photos([tmp_path / 'photos']) == photos
    (tmp_path / 'photos' / 'out' / 'run.json').unlink()  # no labels of ours
    assert len(list_photos([tmp_path / 'photos'])) > len(photos)


@pytest.mark.parametrize('name', ['coco', 'ade', 'records', 'failed.json'])
def test_what_is_not_from_a_run_stays(photos, tmp_path, name):
    (tmp_path / 'data' / name).mkdir(parents=True)
    (tmp_path / 'data' / name / 'mine.txt').touch()
    with pytest.raises(OutputError, match=f'{name} is there, but not from this'):
        LabelRun(tmp_path / 'data', photos, ABOUT)
    assert (tmp_path / 'data' / name / 'mine.txt').exists()
    assert not (tmp_path / 'data' / 'run.json').exists()


def test_names_that_labels_cannot_have_stop_no_other(photos, tmp_path):
    for name in (b'not-\xff.png', b'bell-\x07.png'):
        path = os.path.join(os.fsencode(tmp_path / 'photos'), name)
        with open(path, 'wb') as file:
            file.write(photos[0].path.read_bytes())
    photos = list_photos([tmp_path / 'photos'])
    model = label(tmp_path / 'out', photos)
    assert len(model.done) == 9
    failed = json.loads((tmp_path / 'out' / 'failed.json').read_text())
    assert set(failed) == {'broken.png', 'not-\\udcff.png', 'bell-\\x07.png'}
    assert 'characters that label files cannot have' in failed['bell-\\x07.png']


def test_wrong_thresholds():
    with pytest.raises(ValueError, match=r"'cupp', no class. Did you mean 'cup'"):
        LabelChoice(CLASSES, 0.0, {'cupp': 0.5})
    with pytest.raises(ValueError, match=r'0 to 1, got 50 \(cat\)'):
        LabelChoice(CLASSES, 0.0, {'cat': 50})


@pytest.mark.parametrize('text', ['0/3', '4/3', '3', 'a/b', '1/0', '-1/2'])
def test_wrong_shards(text):
    with pytest.raises(ValueError, match='N/ALL'):
        Shard.parse(text)


def test_shards_of_launchers(monkeypatch):
    names = ('SLURM_ARRAY_TASK_ID', 'SLURM_PROCID', 'RANK', 'WORLD_SIZE')
    for name in names:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match='Slurm or torchrun'):
        Shard.parse('auto')
    monkeypatch.setenv('RANK', '2')
    monkeypatch.setenv('WORLD_SIZE', '4')
    assert Shard.parse('auto') == Shard(2, 4)
    for name, value in dict(ID=5, COUNT=3, MIN=1, STEP=2).items():  # --array=1-5:2
        monkeypatch.setenv(f'SLURM_ARRAY_TASK_{name}', str(value))
    assert Shard.parse('auto') == Shard(2, 3)
    assert Shard.parse('3/16') == Shard(2, 16)


def test_weights_that_differ_have_another_hash():
    model = torch.nn.Linear(2, 3)
    before = hash_weights(model)
    assert hash_weights(model) == before
    with torch.no_grad():
        model.bias[1] += 1
    assert hash_weights(model) != before
