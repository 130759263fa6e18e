import json

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from pycocotools import mask as rle

NAMES = ('wall', 'dog', 'sky', 'kite')  # labels 0..3; things are 1 and 3


def box(x):
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, x : x + 15] = 1
    return mask


@pytest.fixture
def instances(tmp_path):
    """A dog and a kite; the file lists only things and calls them its own way."""
    annotations = []
    for number, (category, x) in enumerate([(3, 5), (12, 30)], 1):
        code = rle.encode(np.asfortranarray(box(x)))
        annotations.append(
            {
                'id': number,
                'image_id': 'a',
                'category_id': category,
                'iscrowd': 0,
                'area': 300,
                'bbox': [x, 10, 15, 20],
                'segmentation': {
                    'size': code['size'],
                    'counts': code['counts'].decode(),
                },
            }
        )
    content = {
        'images': [{'id': 'a', 'height': 40, 'width': 60, 'file_name': 'a.jpg'}],
        'annotations': annotations,
        'categories': [{'id': 3, 'name': 'DOG'}, {'id': 12, 'name': 'KITE'}],
    }
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(content))
    return path


def predict(labels, xs):
    data = DetDataSample(metainfo={'img_id': 'a', 'ori_shape': (40, 60)})
    data.pred_instances = InstanceData(
        bboxes=torch.zeros(len(labels), 4),
        labels=torch.tensor(labels),
        scores=torch.linspace(1, 0.5, len(labels)),
        masks=torch.tensor(np.array([box(x) for x in xs])).bool(),
    )
    return data


def average_precision(
    path, data, category_ids, kind='mmovseg.InstanceMetric', names=NAMES
):
    config = {'type': kind, 'ann_file': str(path), 'metric': 'segm', 'classwise': True}
    evaluator = Evaluator([config])
    evaluator.dataset_meta = {'classes': names, 'category_ids': category_ids}
    evaluator.process([data])
    result = evaluator.evaluate(1)
    return next(value for key, value in result.items() if key.endswith('segm_mAP'))


def test_labels_find_their_category_among_stuff(instances):
    right = predict([1, 3], [5, 30])
    assert average_precision(instances, right, (7, 3, 90, 12)) == pytest.approx(1)
    assert right.pred_instances.labels.tolist() == [1, 3]  # the caller's stay
    swapped = predict([3, 1], [5, 30])
    assert average_precision(instances, swapped, (7, 3, 90, 12)) == 0
    # Stuff among the instances is nobody's business.
    more = predict([0, 2, 1, 3], [30, 5, 5, 30])
    assert average_precision(instances, more, (7, 3, 90, 12)) == pytest.approx(1)


def test_mmdets_metric_works_where_things_come_first(instances):
    data = predict([0, 1], [5, 30])
    names = ('DOG', 'KITE', 'wall', 'sky')
    for kind in ('mmdet.CocoMetric', 'mmovseg.InstanceMetric'):
        value = average_precision(instances, data, (3, 12, 7, 90), kind, names)
        assert value == pytest.approx(1)


def test_without_category_ids_it_is_mmdets(instances):
    data = predict([0, 1], [5, 30])
    value = average_precision(instances, data, None, names=('DOG', 'KITE'))
    assert value == pytest.approx(1)


def test_a_file_of_another_numbering_is_refused(instances):
    """mmdet's converter of ADE20K numbers things first, under the official name."""
    config = {'type': 'mmovseg.InstanceMetric', 'ann_file': str(instances)}
    evaluator = Evaluator([{**config, 'metric': 'segm'}])
    evaluator.dataset_meta = {
        'classes': NAMES,
        'category_ids': (3, 7, 90, 12),  # in the file 3 is the dog
        'is_thing': (False, True, False, True),
    }
    with pytest.raises(ValueError, match=r"category 3, 'DOG', which is 'wall' and st"):
        evaluator.process([predict([1, 3], [5, 30])])


def test_categories_without_instances_may_be_listed(instances):
    content = json.loads(instances.read_text())
    content['categories'].append({'id': 7, 'name': 'WALL'})
    instances.write_text(json.dumps(content))
    config = {'type': 'mmovseg.InstanceMetric', 'ann_file': str(instances)}
    evaluator = Evaluator([{**config, 'metric': 'segm'}])
    evaluator.dataset_meta = {
        'classes': NAMES,
        'category_ids': (7, 3, 90, 12),
        'is_thing': (False, True, False, True),
    }
    evaluator.process([predict([1, 3], [5, 30])])
    assert evaluator.evaluate(1)['instance/segm_mAP'] == 1
