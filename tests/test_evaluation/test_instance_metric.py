import json

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from pycocotools import mask as rle

from mmovseg.evaluation import InstanceMetric

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


def test_without_category_ids_names_count(instances):
    data = predict([0, 1], [5, 30])
    value = average_precision(instances, data, None, names=('DOG', 'KITE'))
    assert value == pytest.approx(1)
    # mmdet takes positions in the file, and so the other class.
    data = predict([1, 0], [5, 30])
    names = ('KITE', 'DOG')
    assert average_precision(instances, data, None, names=names) == pytest.approx(1)
    wrong = average_precision(instances, data, None, 'mmdet.CocoMetric', names)
    assert wrong == 0


def build(path, ids=(7, 3, 90, 12), **kwargs):
    metric = InstanceMetric(str(path), **kwargs)
    metric.dataset_meta = {
        'classes': NAMES,
        'category_ids': ids,
        'is_thing': (False, True, False, True),
    }
    return metric


def test_seen_and_unseen_by_hand(instances):
    # The dog is found; the kite lies elsewhere.
    metric = build(instances, seen=['wall', 'dog'])
    metric.process(None, [predict([1, 3], [5, 5]).to_dict()])
    result = metric.evaluate(1)
    assert result['instance/segm_mAP_seen'] == pytest.approx(1)
    assert result['instance/segm_mAP_unseen'] == 0
    assert result['instance/segm_mAP'] == pytest.approx(0.5)
    metric = build(instances, seen=['wall', 'dog', 'kite'])  # the sky is no thing
    metric.process(None, [predict([1, 3], [5, 30]).to_dict()])
    result = metric.evaluate(1)
    assert result['instance/segm_mAP_seen'] == pytest.approx(1)
    assert np.isnan(result['instance/segm_mAP_unseen'])
    with pytest.raises(ValueError, match=r"'dogs'.*Did you mean 'dog'"):
        build(instances, seen=['dogs'])


def test_all_results_are_those_of_pycocotools(tmp_path):
    """Boxes and masks of all sizes, many guesses of one class, crowds, ties."""
    rng = np.random.default_rng(0)
    content = {'images': [], 'annotations': [], 'categories': []}
    content['categories'] = [{'id': 3, 'name': 'dog'}, {'id': 12, 'name': 'kite'}]
    samples = []
    for image in range(4):
        shape = {'height': 240, 'width': 320}
        content['images'].append({'id': image, 'file_name': f'{image}.jpg', **shape})
        masks, labels = draw_objects(rng, 12), rng.integers(0, 2, 12)
        for mask, label in zip(masks, labels, strict=True):
            number = len(content['annotations']) + 1
            content['annotations'].append(annotate(mask, number, image, label))
        # Shifted and repeated until more than count: the best 100 of a class do.
        guess = np.roll(np.repeat(masks, 20, 0), tuple(rng.integers(-4, 5, 2)), (1, 2))
        data = DetDataSample(metainfo={'img_id': image, 'ori_shape': (240, 320)})
        data.pred_instances = InstanceData(
            bboxes=torch.tensor(np.array([find_box(mask) for mask in guess])),
            labels=torch.from_numpy(np.repeat(labels, 20)),
            scores=torch.from_numpy(rng.integers(1, 50, len(guess)) / 50).float(),
            masks=torch.from_numpy(guess).bool(),
        )
        samples.append(data)
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(content))
    config = {'ann_file': str(path), 'metric': ['bbox', 'segm']}
    kinds = [
        {'type': 'mmdet.CocoMetric', 'proposal_nums': (1, 10, 100)},
        {'type': 'mmovseg.InstanceMetric', 'classwise': True},
    ]
    evaluator = Evaluator([{**kind, **config} for kind in kinds])
    evaluator.dataset_meta = {'classes': ('dog', 'kite'), 'category_ids': (3, 12)}
    evaluator.process(samples)
    result = evaluator.evaluate(4)
    theirs = {k[5:]: v for k, v in result.items() if k.startswith('coco/')}
    assert {name[:4] for name in theirs} == {'bbox', 'segm'}
    for name, value in theirs.items():
        if 'copypaste' not in name:
            assert result[f'instance/{name}'] == pytest.approx(value, abs=6e-4), name
    assert 0.05 < result['instance/segm_mAP'] < result['instance/segm_mAP_50'] < 0.95


def draw_objects(rng, count):
    masks = np.zeros((count, 240, 320), np.uint8)
    for mask in masks:
        height, width = rng.integers(8, 150, 2)
        top, left = rng.integers(0, 240 - height), rng.integers(0, 320 - width)
        mask[top : top + height, left : left + width] = 1
    return masks


def find_box(mask):
    rows, columns = np.nonzero(mask)
    corners = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return [float(value) for value in corners]


def annotate(mask, number, image, label):
    code = rle.encode(np.asfortranarray(mask))
    left, top, right, bottom = find_box(mask)
    return {
        'id': number,
        'image_id': image,
        'category_id': (3, 12)[label],
        'iscrowd': int(number % 7 == 0),
        'area': int(mask.sum()),
        'bbox': [left, top, right - left, bottom - top],
        'segmentation': {**code, 'counts': code['counts'].decode()},
    }


def test_the_first_annotation_may_have_the_id_0(instances):
    """For pycocotools it would match nothing."""
    content = json.loads(instances.read_text())
    for number, annotation in enumerate(content['annotations']):
        annotation['id'] = number
    instances.write_text(json.dumps(content))
    data, ids = predict([1, 3], [5, 30]), (7, 3, 90, 12)
    assert average_precision(instances, data, ids) == pytest.approx(1)
    theirs = predict([0, 1], [5, 30]), None, 'mmdet.CocoMetric', ('DOG', 'KITE')
    assert average_precision(instances, *theirs) == 0.5


def test_images_without_prediction_do_not_count(instances):
    content = json.loads(instances.read_text())
    content['images'].append({**content['images'][0], 'id': 'b'})
    more = [dict(x, image_id='b', id=x['id'] + 9) for x in content['annotations']]
    content['annotations'] += more
    instances.write_text(json.dumps(content))
    metric = build(instances)
    metric.process(None, [predict([1, 3], [5, 30]).to_dict()])
    result = metric.evaluate(1)
    assert result['instance/segm_mAP'] == pytest.approx(1)
    assert result['instance/num_missing'] == 1


def test_scores_of_masks_and_encoded_masks_are_read(instances):
    """A wrong kite is first by its class, last by its mask."""
    data = predict([3, 1, 3], [5, 5, 30]).to_dict()
    rows = data['pred_instances']
    metric = build(instances)
    metric.process(None, [data])
    assert metric.evaluate(1)['instance/segm_mAP'] == pytest.approx(0.75)
    rows['mask_scores'] = torch.tensor([0.1, 0.9, 0.9])
    codes = np.asfortranarray(rows['masks'].numpy().astype(np.uint8).transpose(1, 2, 0))
    rows['masks'] = rle.encode(codes)
    metric = build(instances)
    metric.process(None, [data])
    assert metric.evaluate(1)['instance/segm_mAP'] == pytest.approx(1)


def test_bad_input_is_named(instances):
    with pytest.raises(ValueError, match="'segm', 'bbox' or a list of them, got 'm'"):
        build(instances, metric='m')
    with pytest.raises(FileNotFoundError):
        build(instances.with_name('none.json'))
    data = predict([1, 3], [5, 30]).to_dict()
    with pytest.raises(KeyError, match="Image 'z' is not in the instance JSON"):
        build(instances).process(None, [{**data, 'img_id': 'z'}])
    rows = data['pred_instances']
    small = {**rows, 'masks': rows['masks'][:, :20]}
    with pytest.raises(ValueError, match=r"image 'a' is \(20, 60\).* says \(40, 60\)"):
        build(instances).process(None, [{**data, 'pred_instances': small}])
    many = {**rows, 'labels': torch.tensor([1, 4])}
    with pytest.raises(ValueError, match='label 4, but the dataset has 4 classes'):
        build(instances).process(None, [{**data, 'pred_instances': many}])
    metric = build(instances)
    metric.dataset_meta = {'classes': ('cat', 'cow')}
    with pytest.raises(ValueError, match=r'no category of the dataset.*cat, cow.*DOG'):
        metric.process(None, [data])


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
    # The names tell even where the stuff has no instances.
    content = json.loads(instances.read_text())
    content['annotations'] = content['annotations'][1:]
    instances.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"category 3, 'DOG', which is 'wall' and st"):
        build(instances, ids=(3, 7, 90, 12)).process(
            None, [predict([3], [30]).to_dict()]
        )


def test_only_classes_of_the_data_set_count(instances):
    """Others are neither averaged nor known."""
    content = json.loads(instances.read_text())
    content['categories'].append({'id': 50, 'name': 'CAT'})
    cat = {**content['annotations'][0], 'id': 9, 'category_id': 50}
    stray = {**cat, 'id': 10, 'category_id': 77}  # of no category at all
    content['annotations'] += [cat, stray]
    instances.write_text(json.dumps(content))
    metric = build(instances, classwise=True)
    metric.process(None, [predict([1, 3], [5, 30]).to_dict()])
    assert metric.evaluate(1)['instance/segm_mAP'] == pytest.approx(1)


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
    assert evaluator.evaluate(1)['instance/segm_mAP'] == pytest.approx(1)
