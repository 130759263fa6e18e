"""Results of a few pixels are dropped where a call or a command says so."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from PIL import Image

from mmovseg.apis.label_run import LabelChoice
from mmovseg.apis.results import Result, Segment, read_result
from mmovseg.apis.tiles import segment_tiles
from mmovseg.cli.main import main, read_arguments
from mmovseg.labels.photo_labels import PhotoLabels
from mmovseg.vocabulary import Vocabulary

CLASSES = Vocabulary.from_string('cat, cup, stuff: floor')


@pytest.fixture
def sample():
    """10 x 10: floor, a cat of 20 pixels on it, a cup of 2 pixels on the cat."""
    labels = torch.full((10, 10), 2)
    labels[:4, :5] = 0
    labels[1, 1:3] = 1
    cat, cup = labels == 0, labels == 1
    cat |= cup  # as an instance it is whole
    info = [
        dict(id=k, category_id=k, isthing=k < 2, score=s, area=a)
        for k, s, a in ((0, 0.8, 18), (1, 0.9, 2), (2, 0.7, 80))
    ]
    return BaseDataElement(
        pred_panoptic_seg=PixelData(
            metainfo=dict(segments_info=info), sem_seg=labels[None].clone()
        ),
        pred_sem_seg=PixelData(sem_seg=labels[None].clone()),
        pred_instances=InstanceData(
            bboxes=torch.tensor([[0, 0, 5, 4], [1, 1, 3, 2.0]]),
            labels=torch.tensor([0, 1]),
            scores=torch.tensor([0.8, 0.9]),
            masks=torch.stack([cat, cup]),
        ),
    )


def read(sample, task, min_area):
    return read_result(
        sample, task, CLASSES.names, is_thing=CLASSES.is_thing, min_area=min_area
    )


@pytest.mark.parametrize('task', ['panoptic', 'instance', 'semantic'])
def test_small_results_are_dropped_and_leave_no_trace(sample, task):
    kept = {x.name for x in read(sample, task, 0).segments}
    assert kept - {'floor'} == {'cat', 'cup'}
    assert {x.name for x in read(sample, task, 2).segments} == kept  # 2 is enough
    for min_area in (3, 0.021):
        result = read(sample, task, min_area)
        assert {x.name for x in result.segments} == kept - {'cup'}
        ids = {x.id for x in result.segments}
        assert set(np.unique(result.label_map)) <= {*ids, 0}
        for segment in result.segments:
            if task != 'instance':
                assert (result.label_map == segment.id).sum() == segment.area
    # A panoptic pixel belongs to none then, others to what is there.
    cat = next(x for x in result.segments if x.name == 'cat')
    assert result.label_map[1, 1] == (0 if task == 'panoptic' else cat.id)


def test_a_class_of_a_semantic_result_stays_if_all_are_small(sample):
    assert len(read(sample, 'semantic', 1000).segments) == 3
    assert read(sample, 'panoptic', 1000).segments == []


@pytest.mark.parametrize('min_area', [-1, float('nan'), float('inf')])
def test_wrong_sizes_are_refused(sample, min_area):
    with pytest.raises(ValueError, match='min_area is a number of pixels'):
        read(sample, 'panoptic', min_area)
    with pytest.raises(ValueError, match='min_area is a number of pixels'):
        LabelChoice(CLASSES, min_area=min_area)


@pytest.mark.parametrize('score', [-0.1, float('nan'), 30])
def test_wrong_scores_are_refused(score, capsys):
    with pytest.raises(ValueError, match='score_thr is from 0 to 1'):
        segment_tiles(Stripes(), np.zeros((99, 99, 3), np.uint8), score_thr=score)
    for command in ('predict', 'video'):
        with pytest.raises(SystemExit):
            read_arguments(command, ['x', '-c', 'cat', '--score-thr', str(score)])
        assert '--score-thr is from 0 to 1' in capsys.readouterr().err


@pytest.mark.parametrize(
    'option', [('--score-thr', '0.5'), ('--thresholds', 'cat=0.5')]
)
def test_semantic_results_have_no_scores(option, capsys):
    words = ['x', '-c', 'cat', '-o', 'out', '--task', 'semantic', *option]
    with pytest.raises(SystemExit):
        read_arguments('label', words)
    assert 'have no scores' in capsys.readouterr().err


@pytest.mark.parametrize('task', ['panoptic', 'semantic'])
def test_labels_drop_the_same(sample, task):
    labels = PhotoLabels.from_result(read(sample, task, 0), 'a.png')
    for min_area, names in ((0, {'cat', 'cup', 'floor'}), (0.2, {'floor'})):
        kept = LabelChoice(CLASSES, min_area=min_area).keep(labels)
        assert {x['name'] for x in kept.segments} == names


class Stripes:
    """Call the left half of every image a cat and the rest floor."""

    def for_each(self, images, handle, **options):
        for index, image in enumerate(images):
            label_map = np.ones(image.shape[:2], np.int32)
            label_map[:, : image.shape[1] // 2] = 2
            segments = [
                Segment(i, k, CLASSES.names[k], k < 2, 0.5, 1, [0, 0, 1, 1])
                for i, k in ((1, 2), (2, 0))
            ]
            handle(index, Result('panoptic', label_map, segments, CLASSES.names))


def test_tiles_count_whole_segments():
    image = np.zeros((64, 300, 3), np.uint8)
    whole = segment_tiles(Stripes(), image, tile=64, overlap=16)
    cats = [x.area for x in whole.segments if x.name == 'cat']
    assert len(cats) > 1 and sum(x.area for x in whole.segments) == image[..., 0].size
    least = min(cats) + 1
    result = segment_tiles(Stripes(), image, tile=64, overlap=16, min_area=least)
    # Floor is one segment: its parts are smaller than it.
    names = [x.name for x in result.segments]
    assert 'floor' in names and names.count('cat') < len(cats)
    for number, segment in enumerate(result.segments, 1):
        assert segment.id == number
        assert (result.label_map == number).sum() == segment.area >= least


def test_commands_drop_specks_unless_told_otherwise(capsys):
    words = {'predict': ['a.png'], 'label': ['a.png', '-c', 'cat', '-o', 'out']}
    for command, rest in words.items():
        assert read_arguments(command, rest).min_area == 64
        assert read_arguments(command, [*rest, '--min-area', '0.01']).min_area == 0.01
        for wrong in ('-1', 'nan', 'inf'):
            with pytest.raises(SystemExit) as ended:
                read_arguments(command, [*rest, f'--min-area={wrong}'])
            assert ended.value.code == 2
            assert '--min-area is a number of pixels' in capsys.readouterr().err


def test_predict_and_label_of_a_photo(sample, monkeypatch, tmp_path):
    """The commands hand the option on."""
    from mmovseg.apis import OVSegInferencer

    photo = tmp_path / 'photo.png'
    Image.fromarray(np.zeros((10, 10, 3), np.uint8)).save(photo)

    def forward(self, batch, *rest):
        return [sample.clone() for _ in batch['inputs']]

    monkeypatch.setattr(OVSegInferencer, 'forward', forward)
    model = ['--model', 'eovseg_tiny_shapeworld', '--checkpoint', 'shapeworld']
    names = ['-c', 'cat, cup, stuff: floor']
    for min_area, found in ((64, {'floor'}), (0.05, {'floor', 'cat'})):
        option = [] if min_area == 64 else ['--min-area', str(min_area)]
        out = tmp_path / f'predict_{min_area}'
        words = ['predict', str(photo), *names, *model, *option]
        assert main([*words, '-o', str(out)]) == 0
        content = json.loads((out / 'photo.json').read_text())
        assert {x['name'] for x in content['segments']} == found
        out = tmp_path / 'label'  # the second time without new work
        words = ['label', str(photo), *names, *model, *option]
        assert main([*words, '-o', str(out)]) == 0
        content = json.loads((out / 'coco/instances.json').read_text())
        assert len(content['annotations']) == len(found)


def test_a_call_of_a_model_keeps_all(sample):
    result = read_result(sample, 'panoptic', CLASSES.names, is_thing=CLASSES.is_thing)
    assert replace(result).segments[0].area == 2
