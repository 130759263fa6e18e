import math

import pytest
import torch
from drawn_world import draw_world, load_world
from mmengine.structures import BaseDataElement, PixelData

from mmovseg.analysis.many_names import (
    evaluate_names,
    extend_vocabulary,
    forget_distractors,
    make_distractors,
    make_table,
    pick_metrics,
    split_keeps,
    time_names,
)
from mmovseg.analysis.profiling import build_model
from mmovseg.apis import init_model
from mmovseg.shapeworld.drawing import CLASSES
from mmovseg.vocabulary import Vocabulary, name_key

WORLD = Vocabulary.load('shapeworld')


def test_distractors_are_others_and_grow_by_what_is_new():
    few, many = make_distractors(50, WORLD), make_distractors(9000, WORLD)
    assert many[:50] == few
    assert len({name_key(x) for x in many}) == 9000
    assert not {name_key(x) for x in many} & set(WORLD.keys)
    with pytest.raises(ValueError, match='other names of shapes'):
        make_distractors(10**7, WORLD)


def test_vocabularies_grow_behind_the_data_set():
    longer = extend_vocabulary(WORLD, 70)
    assert longer.names[:58] == WORLD.names and len(longer) == 70
    assert longer.is_thing[:58] == WORLD.is_thing
    longer = extend_vocabulary(WORLD, 60, ['red star', 'Moon', 'moon', 'sun'])
    assert longer.names[58:] == ('moon', 'sun')
    with pytest.raises(ValueError, match='fewer than the 58'):
        extend_vocabulary(WORLD, 57)
    with pytest.raises(ValueError, match=r'need 3 .* there are 1'):
        extend_vocabulary(WORLD, 61, ['moon'])


def test_results_of_distractors_become_void():
    codes = torch.tensor([[[1003, 2001, 5, 4]]])  # segments of classes 3 and 1; void
    sample = BaseDataElement()
    sample.pred_panoptic_seg = PixelData(
        metainfo=dict(label_divisor=1000, ignore_index=5, segments_info=[]),
        sem_seg=codes,
    )
    labels = torch.tensor([[[3, 1, 0, 4]]])
    sample.pred_sem_seg = PixelData(sem_seg=labels, data=labels)
    forget_distractors(sample, ['a', 'b', 'c'])
    assert sample.pred_panoptic_seg.sem_seg.tolist() == [[[0, 2001, 5, 4]]]
    assert sample.pred_panoptic_seg.label_names == ['a', 'b', 'c']
    assert sample.pred_sem_seg.label_names == ['a', 'b', 'c']


def test_metrics_of_maps_and_the_recall_of_names():
    paths = dict(ann_file='a.json', seg_prefix='a')
    chosen = pick_metrics(
        [
            dict(type='PanopticMetric', classwise=True, seen=['x'], **paths),
            dict(type='InstanceMetric', ann_file='b.json'),
        ]
    )
    assert [x['type'] for x in chosen] == ['PanopticMetric', 'PresenceMetric']
    assert chosen[1] == dict(type='PresenceMetric', seen=['x'], **paths)
    with pytest.raises(ValueError, match='config has none'):
        pick_metrics([dict(type='InstanceMetric', ann_file='b.json')])


@pytest.mark.slow
def test_a_curve_of_the_packaged_model(tmp_path, monkeypatch):
    config, loader = load_world(draw_world(tmp_path), monkeypatch)
    model = init_model(config, 'shapeworld')
    rows = evaluate_names(
        model,
        loader,
        config.test_evaluator,
        [58, 80],
        keeps=[None, 20],
    )
    assert [(x['names'], x['keep']) for x in rows] == [
        *((58, None), (58, 20), (80, None), (80, 20))
    ]
    assert all(0 < x['panoptic/PQ'] <= 100 and x['ms'] > 0 for x in rows)
    assert rows[1]['presence/kept'] == 20 and 'presence/recall' not in rows[0]
    assert model.presence_filter is None and len(model.vocabulary) == len(CLASSES)
    table = make_table(rows)
    assert table[0][:3] == ['names', 'kept', 'panoptic/PQ']
    assert [x[1] for x in table[1:]] == ['all', '20', 'all', '20']


def test_time_of_random_names():
    model = build_model('deop_tiny_shapeworld-zs')
    before = model.vocabulary
    rows = time_names(
        model, torch.randn(1, 3, 64, 64), [60, 300], keeps=[None, 8], repeat=1
    )
    assert [(x['names'], x['keep']) for x in rows] == [
        *((60, None), (60, 8), (300, None), (300, 8))
    ]
    assert all(math.isfinite(x['ms']) for x in rows)
    assert model.vocabulary == before


def test_filters_that_a_model_cannot_have_are_named():
    crops = build_model('simbaseline_tiny_shapeworld-zs')
    keeps, reason = split_keeps(crops, [None, 8, 20])
    assert keeps == [None]
    assert '--keep 8 20 is impossible: no CLIP of SimBaseline sees' in reason
    with pytest.raises(ValueError, match=r'SimBaseline .* Take --keep all'):
        split_keeps(crops, [8])
    with pytest.raises(ValueError, match='SimBaseline cannot leave out names'):
        time_names(crops, torch.randn(1, 3, 64, 64), [60], keeps=[8], repeat=1)
    assert split_keeps(build_model('deop_tiny_shapeworld-zs'), [8]) == ([8], '')
