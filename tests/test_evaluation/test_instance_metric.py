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


SQUARE = [5, 10, 20, 10, 20, 30, 5, 30]
RUNS = {'size': [40, 60], 'counts': [0, 2400]}
MASK_FAULTS = {
    'no segmentation': (None, 'missing or empty'),
    'an empty one': ([], 'missing or empty'),
    'an empty polygon': ([[]], '0 coordinates'),
    'two points': ([[1, 1, 5, 5]], '4 coordinates'),
    'an odd length': ([[*SQUARE, 1]], '9 coordinates'),
    'one point of several parts': ([SQUARE, [1, 1]], '2 coordinates'),
    'no list of lists': (SQUARE, 'where a polygon must be'),
    'a NaN': ([[*SQUARE[:-1], float('nan')]], 'not finite'),
    'a word': ([[*SQUARE[:-1], 'x']], 'no numbers'),
    'outside': ([[x + 60 for x in SQUARE]], r'outside of the image: x 65 to 80'),
    'another size': ({**RUNS, 'size': [60, 40]}, r'for \[60, 40\].*is \[40, 60\]'),
    'too few runs': ({**RUNS, 'counts': [0, 2399]}, 'do not cover 40 x 60'),
    'negative runs': ({**RUNS, 'counts': [-1, 2401]}, 'do not cover 40 x 60'),
    'damaged runs': ({**RUNS, 'counts': 'zz~'}, 'do not cover 40 x 60'),
    'no runs': ({'size': [40, 60]}, 'no run lengths'),
    'no pixel': ({**RUNS, 'counts': [2400]}, 'has no pixel'),
}


def change(instances, edit):
    content = json.loads(instances.read_text())
    edit(content)
    instances.write_text(json.dumps(content))


@pytest.mark.parametrize('fault', MASK_FAULTS)
def test_masks_that_cannot_be_used_are_named(instances, fault):
    shape, words = MASK_FAULTS[fault]
    change(instances, lambda c: c['annotations'][1].update(segmentation=shape))
    with pytest.raises(ValueError, match=words) as error:
        build(instances)
    assert "annotation 2 of image 'a' (a.jpg): " in str(error.value)
    build(instances, metric='bbox')  # which needs no masks


@pytest.mark.parametrize(
    ('box', 'words'),
    [
        (None, 'must be 4 numbers'),
        ([1, 1, 2], 'must be 4 numbers'),
        ([1, 1, '2', 2], 'must be 4 numbers'),
        ([1, 1, float('nan'), 2], 'must be 4 numbers'),
        ([1, 1, -2, 2], 'negative size'),
        ([60, 1, 2, 2], 'outside of the image'),
    ],
)
def test_boxes_that_cannot_be_used_are_named(instances, box, words):
    change(instances, lambda c: c['annotations'][1].update(bbox=box))
    with pytest.raises(ValueError, match=words) as error:
        build(instances, metric='bbox')
    assert "annotation 2 of image 'a' (a.jpg): " in str(error.value)


@pytest.mark.parametrize(
    ('fault', 'words'),
    [
        ({'id': 1}, 'annotation ids occur more than once: 1'),
        ({'image_id': None}, r'1 of 2 annotations lack.*"image_id"'),
        ({'category_id': '12'}, "another type.*'12'"),
        ({'iscrowd': '0'}, '"iscrowd" that is not 0 or 1: annotation 2'),
        ({'area': '300'}, '"area" that is no number'),
        ({'area': float('nan')}, '"area" that is no number'),
        ({'area': -1}, '"area" that is no number'),
    ],
)
def test_other_values_that_cannot_be_used_are_named(instances, fault, words):
    change(instances, lambda c: c['annotations'][1].update(fault))
    with pytest.raises(ValueError, match=words) as error:
        build(instances)
    assert instances.name in str(error.value)


def test_what_is_clear_is_taken(instances):
    def edit(content):
        for annotation in content['annotations']:
            del annotation['area'], annotation['iscrowd'], annotation['id']
            annotation['category_id'] = str(annotation['category_id'])
        content['annotations'][0]['segmentation'] = [SQUARE]
        for category in content['categories']:
            category['id'] = str(category['id'])

    change(instances, edit)
    data = predict([1, 3], [5, 30])
    ids = ('7', '3', '90', '12')
    assert average_precision(instances, data, ids) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"no category of the dataset.*id '3'"):
        average_precision(instances, data, (7, 3, 90, 12))


@pytest.mark.parametrize('name', ['KIET', 'kite s', 'kites'])
def test_a_misspelt_class_does_not_leave_the_mean_in_silence(instances, name):
    change(instances, lambda c: c['categories'][1].update(name=name))
    data = predict([0, 1], [5, 30])
    with pytest.raises(ValueError, match=f"instances of '{name}'.*'KITE'.*leave the"):
        average_precision(instances, data, None, names=('DOG', 'KITE'))
    # Ids decide where there are any.
    data = predict([1, 3], [5, 30])
    assert average_precision(instances, data, (7, 3, 90, 12)) == pytest.approx(1)


def test_a_class_of_another_id_does_not_leave_the_mean_in_silence(instances):
    with pytest.raises(ValueError, match=r"instances of 'KITE'.*'kite'"):
        build(instances, ids=(7, 3, 90, 13)).process(
            None, [predict([1, 3], [5, 30]).to_dict()]
        )


NAN = float('nan')


@pytest.mark.parametrize(
    ('rows', 'words'),
    [
        ({'scores': torch.tensor([NAN, 1])}, 'scores of .* the value nan'),
        ({'scores': torch.tensor([0.5, torch.inf])}, 'scores of .* the value inf'),
        ({'mask_scores': torch.tensor([NAN, 1])}, 'mask_scores of .* the value nan'),
        ({'bboxes': torch.full((2, 4), NAN)}, 'bboxes of .* the value nan'),
        ({'bboxes': torch.tensor([[9.0, 9, 5, 5]] * 2)}, 'ends before it starts'),
        ({'bboxes': torch.zeros(2, 5)}, r'must be \(2, 4\), got \(2, 5\)'),
        ({'labels': torch.tensor([1, -1])}, 'has label -1, but the dataset has 4'),
        ({'labels': torch.tensor([1, 1.5])}, r'labels of .* the value 1\.5'),
        ({'scores': torch.ones(3)}, '2 labels and 3 scores'),
        ({'masks': torch.ones(3, 40, 60)}, '2 labels and 3 masks'),
        ({'masks': torch.full((2, 40, 60), 0.7)}, 'not all 0 or 1'),
        ({'masks': torch.ones(2, 1, 40, 60).bool()}, r'must be \[n, H, W\]'),
        ({'masks': None}, 'has no masks, which InstanceMetric needs'),
        ({'scores': None}, 'has no scores, which InstanceMetric needs'),
        ({'labels': None}, 'has no labels, which InstanceMetric needs'),
        ({'bboxes': None}, 'has no bboxes, which InstanceMetric needs'),
    ],
)
def test_predictions_that_cannot_be_used_are_named(instances, rows, words):
    data = predict([1, 3], [5, 30]).to_dict()
    data['pred_instances'] |= rows
    kept = {k: v for k, v in data['pred_instances'].items() if v is not None}
    metric = build(instances, metric=['bbox', 'segm'])
    with pytest.raises((KeyError, ValueError), match=words) as error:
        metric.process(None, [{**data, 'pred_instances': kept}])
    assert "image 'a'" in str(error.value)


@pytest.mark.parametrize('scale', [1, 255])
def test_masks_of_other_types_are_read(instances, scale):
    data = predict([1, 3], [5, 30])
    data.pred_instances.masks = data.pred_instances.masks.byte() * scale
    assert average_precision(instances, data, (7, 3, 90, 12)) == pytest.approx(1)
