"""Results as plain values and files, from hand-made data samples."""

import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from PIL import Image
from pycocotools import mask as rle

from mmovseg.apis import OutputError
from mmovseg.apis.results import read_result

NAMES, THINGS = ('cat', 'grass', 'cup'), (True, False, True)


@pytest.fixture
def sample():
    codes = torch.full((1, 4, 6), 3)  # void
    codes[0, :, :2] = 1001  # grass
    codes[0, 1:3, 3:6] = 2000  # cat
    info = [
        dict(id=1001, category_id=1, isthing=False, score=0.4, area=8),
        dict(id=2000, category_id=0, isthing=True, score=0.9, area=6),
    ]
    masks = torch.zeros(3, 4, 6, dtype=torch.bool)
    masks[0, :2, :2] = masks[1, 1:3, 1:4] = masks[2, 3, 5] = True
    labels = torch.tensor([[[1, 1, 0, 0, 0, 1]] * 4])
    return BaseDataElement(
        pred_panoptic_seg=PixelData(metainfo=dict(segments_info=info), sem_seg=codes),
        pred_instances=InstanceData(
            bboxes=torch.tensor([[0, 0, 2, 2], [1, 1, 4, 3], [5, 3, 6, 4.0]]),
            labels=torch.tensor([2, 0, 0]),
            scores=torch.tensor([0.5, 0.8, 0.1]),
            masks=masks,
        ),
        pred_sem_seg=PixelData(sem_seg=labels, data=labels),
    )


def read(sample, task, **options):
    return read_result(sample, task, NAMES, is_thing=THINGS, **options)


def test_panoptic(sample):
    result = read(sample, 'panoptic')
    cat, grass = result.segments
    assert cat == dict(
        id=1, label=0, name='cat', isthing=True, score=0.9, area=6, box=[3, 1, 3, 2]
    )
    assert (grass['id'], grass['name'], grass['box']) == (2, 'grass', [0, 0, 2, 4])
    assert result.label_map[1].tolist() == [2, 2, 0, 1, 1, 1]
    result = read(sample, 'panoptic', score_thr=0.5)
    assert [x['name'] for x in result.segments] == ['cat']
    assert result.label_map[1].tolist() == [0, 0, 0, 1, 1, 1]
    assert read(sample, 'panoptic', score_thr=1.0).label_map.max() == 0


def test_instance(sample):
    result = read(sample, 'instance')
    assert [x['name'] for x in result.segments] == ['cat', 'cup']  # 0.1 is below 0.3
    assert [x['id'] for x in result.segments] == [1, 2]
    assert result.segments[0]['box'] == [1, 1, 3, 2]
    assert result.label_map[:2].tolist() == [[2, 2, 0, 0, 0, 0], [2, 1, 1, 1, 0, 0]]
    mask = rle.decode(result.segments[1]['mask'])
    assert (mask == sample.pred_instances.masks[0].numpy()).all()
    assert len(read(sample, 'instance', score_thr=0.0).segments) == 3


def test_semantic(sample):
    result = read(sample, 'semantic')
    assert [x['label'] for x in result.segments] == [0, 1]
    assert [x['area'] for x in result.segments] == [12, 12]
    assert result.segments[0]['box'] == [2, 0, 3, 4]
    assert result.segments[0]['score'] is None


@pytest.mark.parametrize('task', ['panoptic', 'instance', 'semantic'])
def test_files(sample, task, tmp_path):
    result = read(sample, task)
    image = np.zeros((4, 6, 3), np.uint8)
    paths = result.save(tmp_path / 'new', 'a.b', image)
    assert [x.name for x in paths] == ['a.b_overlay.png', 'a.b_labels.png', 'a.b.json']
    record = json.loads(paths[2].read_text())
    assert (record['image'], record['height'], record['width']) == ('a.b', 4, 6)
    assert record['segments'] == result.segments
    labels = np.asarray(Image.open(paths[1])).astype(int)
    if task == 'panoptic':
        labels = labels @ [1, 256, 65536]
    assert (labels == result.label_map).all()
    assert Image.open(paths[0]).size[0] >= 6


def test_many_classes_need_sixteen_bits(sample):
    names = tuple(f'c{i}' for i in range(300))
    sample.pred_sem_seg.sem_seg[:] = 299
    result = read_result(sample, 'semantic', names, is_thing=[True] * 300)
    assert result.encode_labels().dtype == np.uint16
    assert (result.encode_labels() == 299).all()


def test_ids_above_255_use_the_next_channel(sample):
    result = read(sample, 'panoptic')
    result.label_map[0, 0] = 258
    assert result.encode_labels()[0, 0].tolist() == [2, 1, 0]


def test_missing_results_are_named(sample):
    with pytest.raises(ValueError, match='task must be one of'):
        read(sample, 'boxes')
    del sample.pred_instances
    with pytest.raises(ValueError, match='no pred_instances'):
        read(sample, 'instance')


def test_a_segment_is_typed_and_reads_like_a_dict(sample):
    segment = read(sample, 'panoptic').segments[0]
    assert (segment.name, segment.isthing) == (segment['name'], segment['isthing'])
    assert segment.to_dict() == dict(segment) == segment
    assert 'mask' not in segment and segment.get('mask') is None
    assert json.loads(json.dumps(segment.to_dict())) == segment
    (instance, *_) = read(sample, 'instance').segments
    assert rle.decode(instance['mask']).sum() == instance.area
    with pytest.raises(KeyError, match="no 'label_name'; it has id, label, name"):
        segment['label_name']


# What a result can do beside being a file.


@pytest.fixture
def kept(sample):
    image = np.full((4, 6, 3), 100, np.uint8)
    return {
        task: replace(read(sample, task), image=image, photo='p')
        for task in ('panoptic', 'instance', 'semantic')
    }


def test_a_notebook_shows_the_drawing_and_a_table(kept):
    result = replace(kept['panoptic'], names=('<b>', 'grass', 'cup'))
    first = replace(result.segments[0], name='<b>')
    page = replace(result, segments=[first])._repr_html_()
    assert '&lt;b&gt;' in page and '<td>25.0%</td>' in page and 'image/png' in page
    drawing = np.asarray(Image.open(io.BytesIO(result._repr_png_())))
    assert (drawing == result.overlay()).all()
    bare = replace(result, image=None)
    assert bare._repr_png_() is None and '<img' not in bare._repr_html_()
    with pytest.raises(ValueError, match='not kept'):
        bare.overlay()


@pytest.mark.parametrize('task', ['panoptic', 'instance', 'semantic'])
def test_masks_are_those_of_the_segments(kept, task):
    result = kept[task]
    masks = result.masks()
    assert masks.dtype == bool and masks.shape == (2, 4, 6)
    assert masks.sum((1, 2)).tolist() == [x.area for x in result.segments]
    assert replace(result, segments=[]).masks().shape == (0, 4, 6)


def test_save_takes_photo_and_name_from_the_result(kept, tmp_path):
    result = replace(kept['panoptic'], path=tmp_path / 'photos' / 'p.jpg')
    paths = result.save(tmp_path)
    assert [x.name for x in paths] == ['p_overlay.png', 'p_labels.png', 'p.json']


def test_save_replaces_only_results_of_the_same_photo(kept, tmp_path):
    result = replace(kept['panoptic'], path=tmp_path / 'a' / 'p.jpg')
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'p.json').write_text('mine')
    other = replace(result, path=tmp_path / 'b' / 'p.jpg')
    for saved, name in ((result, 'p_2'), (other, 'p_3'), (result, 'p_2')):
        assert saved.save(out)[2] == out / f'{name}.json'
    for number in (0, 1):  # frames of a video
        assert kept['panoptic'].save(out)[2] == out / f'p_{number}.json'
    assert (out / 'p.json').read_text() == 'mine'
    with Image.open(result.save(out, text={'note': 'x'})[0]) as drawing:
        assert drawing.text['note'] == 'x'
    (tmp_path / 'a').mkdir()
    with pytest.raises(OutputError, match='the photos are in it'):
        result.save(tmp_path / 'a')


def test_labels_of_one_photo(kept, tmp_path):
    (folder,) = kept['instance'].save_labels(tmp_path, 'coco')
    content = json.loads((folder / 'instances.json').read_text())
    assert [x['name'] for x in content['categories']] == list(NAMES)
    found = [rle.decode(x['segmentation']) for x in content['annotations']]
    assert (np.asarray(found) == kept['instance'].masks()).all()


@pytest.mark.parametrize('task', ['panoptic', 'instance', 'semantic'])
def test_supervision(kept, task):
    pytest.importorskip('supervision', reason='supervision')
    found = kept[task].to_supervision()
    assert (found.mask == kept[task].masks()).all()
    for box, segment in zip(found.xyxy.tolist(), kept[task].segments, strict=True):
        x, y, width, height = segment.box
        assert box == [x, y, x + width, y + height]
    assert (found.confidence is None) == (task == 'semantic')
    assert found.data['class_name'][0] == kept[task].segments[0].name
    assert len(replace(kept[task], segments=[]).to_supervision()) == 0


def test_without_supervision(kept, monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(ImportError, match=r"pip install 'mmovseg\[supervision\]'"):
        kept['panoptic'].to_supervision()


def test_arrays_for_robots(kept):
    arrays = kept['panoptic'].to_numpy()
    assert arrays['classes'][1].tolist() == [1, 1, -1, 0, 0, 0]
    assert arrays['instances'][1].tolist() == [0, 0, 0, 1, 1, 1]
    other = replace(kept['panoptic'], names=('dog', 'Grass', 'cat')).to_numpy()
    assert (other['colors'][[2, 1]] == arrays['colors'][[0, 1]]).all()
    assert (other['colors'][0] != arrays['colors'][0]).any()
    assert 'top_labels' not in arrays
    arrays = kept['semantic'].to_numpy()
    assert arrays['classes'][0].tolist() == [1, 1, 0, 0, 0, 1]
    assert not arrays['instances'].any()
    arrays = kept['instance'].to_numpy()
    assert arrays['classes'][:2].tolist() == [[2, 2, *[-1] * 4], [2, 0, 0, 0, -1, -1]]
