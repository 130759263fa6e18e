import copy
import itertools
import math

import numpy as np
import pytest
import torch
from metric_oracles import slow_panoptic_quality
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from panoptic_files import CATEGORIES, segment, write_dataset

from mmovseg.evaluation import PanopticMetric
from mmovseg.formats.panoptic_format import PanopticAnnotations, read_segment_ids
from mmovseg.registry import METRICS

NUM_CLASSES = len(CATEGORIES)
LABELS = {cat['id']: label for label, cat in enumerate(CATEGORIES)}


def data_sample(codes, image_id=100, **metainfo):
    codes = torch.as_tensor(np.asarray(codes))[None]
    result = DetDataSample(metainfo={'img_id': image_id, 'img_path': 'val/a.jpg'})
    result.set_metainfo({'ori_shape': tuple(codes.shape[1:])})
    result.pred_panoptic_seg = PixelData(sem_seg=codes, metainfo=metainfo)
    return result


def sample(codes, image_id=100, **metainfo):
    """A data sample as the evaluator hands it to metrics."""
    return data_sample(codes, image_id, **metainfo).to_dict()


def evaluate(paths, samples, **options):
    metric = PanopticMetric(**paths, **options)
    metric.process(None, samples)
    metric.dataset_meta = {}
    return metric.evaluate(len(samples))


def random_pair(rng, num_classes, crowd_share):
    """Ground truth ids with segments, and a prediction that resembles it."""
    size = rng.randint(6, 14, 2)
    ids = np.kron(rng.randint(0, 6, (size + 2) // 3), np.ones((3, 3), int))
    ids = ids[: size[0], : size[1]]
    factor = rng.randint(1, 2**24 // 6)
    labels = {}
    for number in np.unique(ids[ids > 0]):
        labels[number] = rng.randint(num_classes)
    segments = [
        (int(number * factor), label, rng.rand() < crowd_share)
        for number, label in labels.items()
    ]
    # Shift the map by a pixel, take some labels anew, leave some pixels void.
    guess = np.roll(ids, rng.randint(-1, 2), rng.randint(2))
    guess_labels = {
        number: label if rng.rand() < 0.7 else rng.randint(num_classes)
        for number, label in labels.items()
    }
    guess = np.where(rng.rand(*size) < 0.1, 0, guess)
    return ids * factor, segments, guess, guess_labels


@pytest.mark.parametrize(
    ('num_classes', 'crowd_share', 'coding'),
    [
        *((2, 0.0, 'ours'), (4, 0.3, 'ours'), (60, 0.1, 'ours'), (1500, 0.1, 'ours')),
        *((2, 0.0, 'mmdet'), (4, 0.3, 'mmdet'), (60, 0.1, 'mmdet')),
    ],
)
def test_random_maps_against_the_definition(tmp_path, num_classes, crowd_share, coding):
    rng = np.random.RandomState(num_classes)
    divisor = 10_000 if num_classes >= 1000 else 1000
    categories = [
        {'id': 3 * int(i) + 1, 'name': str(i), 'isthing': int(rng.rand() < 0.5)}
        for i in rng.permutation(num_classes)
    ]
    is_thing = [bool(cat['isthing']) for cat in categories]
    images, samples, masks = {}, [], []
    for number in range(40):
        ids, segments, guess, labels = random_pair(rng, num_classes, crowd_share)
        images[str(number)] = (
            ids,
            [
                segment(i, categories[label]['id'], iscrowd=int(crowd))
                for i, label, crowd in segments
            ],
        )
        codes = np.full(guess.shape, num_classes)
        for instance, (value, label) in enumerate(labels.items(), 1):
            if coding == 'mmdet' and not is_thing[label]:
                instance = 0
            codes[guess == value] = label + divisor * instance
        metainfo = {'ignore_index': num_classes}
        if coding == 'ours':
            metainfo['label_divisor'] = divisor
        samples.append(sample(codes, 100 + number, **metainfo))
        predicted = [
            (codes == code, code % divisor)
            for code in np.unique(codes)
            if code != num_classes
        ]
        truth = [(ids == i, label, crowd) for i, label, crowd in segments]
        masks.append((truth, predicted, ids.shape))
    paths = write_dataset(tmp_path, images, categories)
    result = evaluate(paths, samples, classwise=True)
    expected = slow_panoptic_quality(masks, is_thing)
    assert 10 < expected['PQ'] < 90
    for name, value in expected.items():
        assert result[f'panoptic/{name}'] == pytest.approx(value, rel=1e-12), name
    assert result['panoptic/num_missing'] == 0


def codes_of(truth_map, segments, start=1, divisor=1000, void=NUM_CLASSES):
    """Code ground truth as a prediction, every segment numbered."""
    codes = np.full(np.shape(truth_map), void)
    for instance, entry in enumerate(segments, start):
        label = LABELS[entry['category_id']]
        codes[truth_map == entry['id']] = label + divisor * instance
    return codes


def test_void_and_crowds_by_hand(tmp_path):
    # 10 columns: void 0-1, dog 2-5, crowd of kites 6-9.
    ids = np.array([[0, 0, 1, 1, 1, 1, 2, 2, 2, 2]])
    paths = write_dataset(
        tmp_path, {'a': (ids, [segment(1, 3), segment(2, 12, iscrowd=1)])}
    )
    # The dog covers void 0-1 and 2-4: IoU 3 / 4, void does not count.
    dog, kite, sky, void = 1001, 3003, 2002, NUM_CLASSES
    codes = [[dog, dog, dog, dog, dog, void, kite, kite, kite, void]]
    result = evaluate(paths, [sample(codes)])
    assert result['panoptic/PQ'] == pytest.approx(75)
    assert result['panoptic/PQ_th'] == pytest.approx(75)
    assert math.isnan(result['panoptic/PQ_st'])  # nothing to average
    # A kite with only half of its pixels on the crowd is a false positive,
    codes = [[dog, dog, dog, dog, kite, kite, kite, kite, void, void]]
    result = evaluate(paths, [sample(codes)])
    # the dog now has IoU 2 / 4, which is no match, and is on void by half only.
    assert result['panoptic/PQ'] == 0
    assert result['panoptic/RQ'] == 0
    # and sky on the crowd of another class is one, sky on void is not.
    codes = [[sky, sky, dog, dog, dog, dog, void, void, void, void]]
    assert evaluate(paths, [sample(codes)])['panoptic/PQ'] == 100
    codes = [[void, void, dog, dog, dog, dog, sky, void, void, void]]
    assert evaluate(paths, [sample(codes)])['panoptic/PQ'] == 50


def test_all_crowds_of_a_class_excuse_a_prediction(tmp_path):
    ids = np.array([[1, 1, 2, 2, 3]])
    crowds = [segment(i, 12, iscrowd=1) for i in (1, 2)]
    paths = write_dataset(tmp_path, {'a': (ids, [*crowds, segment(3, 7)])})
    codes = [[1003, 1003, 1003, 1003, 2000]]
    assert evaluate(paths, [sample(codes)])['panoptic/PQ'] == 100


@pytest.fixture
def wall(tmp_path):
    """A wall, stuff with label 0, covers the picture."""
    return write_dataset(tmp_path, {'a': (np.full((1, 10), 5), [segment(5, 7)])})


def test_stuff_class_0_covers_60_percent(wall, panopticapi):
    """The trap of spec/datasets.md: mmdet's metric gives 100 for mmdet's coding."""
    void, meta = NUM_CLASSES, {'classes': [cat['name'] for cat in CATEGORIES]}

    def both(codes, **metainfo):
        own = PanopticMetric(**wall)
        other = METRICS.build({'type': 'mmdet.CocoPanopticMetric', **wall})
        values = []
        for metric in (own, other):
            metric.dataset_meta = meta
            metric.process(None, [copy.deepcopy(sample(codes, **metainfo))])
            values.append(metric.evaluate(1))
        return values[0]['panoptic/PQ'], values[1]['coco_panoptic/PQ']

    assert both([[0] * 6 + [void] * 4]) == pytest.approx((60, 100))
    numbered = [[1000] * 6 + [void] * 4]
    assert both(numbered) == pytest.approx((60, 60))
    metainfo = {'label_divisor': 1000, 'ignore_index': void}
    assert both(numbered, **metainfo) == pytest.approx((60, 60))


@pytest.mark.parametrize('own_first', [True, False])
def test_mmdets_metric_in_the_same_evaluator(wall, panopticapi, own_first):
    """It sets VOID to 0 in the tensor it is given; we read and leave it."""
    metainfo = {'label_divisor': 1000, 'ignore_index': NUM_CLASSES}
    data = data_sample([[1000] * 6 + [NUM_CLASSES] * 4], **metainfo)
    metrics = [
        {'type': 'mmovseg.PanopticMetric', **wall},
        {'type': 'mmdet.CocoPanopticMetric', **wall},
    ]
    evaluator = Evaluator(metrics if own_first else metrics[::-1])
    evaluator.dataset_meta = {'classes': [cat['name'] for cat in CATEGORIES]}
    evaluator.process([data])
    result = evaluator.evaluate(1)
    assert result['panoptic/PQ'] == pytest.approx(60)
    assert result['coco_panoptic/PQ'] == pytest.approx(60)


def test_the_callers_tensor_stays(wall):
    data = sample([[1000] * 6 + [NUM_CLASSES] * 4])
    before = data['pred_panoptic_seg']['sem_seg'].clone()
    evaluate(wall, [data])
    assert torch.equal(data['pred_panoptic_seg']['sem_seg'], before)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_any_integer_type(wall, dtype):
    data = sample([[0] * 6 + [NUM_CLASSES] * 4])
    data['pred_panoptic_seg']['sem_seg'] = data['pred_panoptic_seg']['sem_seg'].to(
        dtype
    )
    assert evaluate(wall, [data])['panoptic/PQ'] == pytest.approx(60)


def test_ignore_index_of_the_prediction_is_void(wall):
    codes = [[0] * 6 + [255] * 4]
    assert evaluate(wall, [sample(codes, ignore_index=255)])['panoptic/PQ'] == 60


def test_repeated_and_missing_images(tmp_path):
    """A distributed sampler repeats images; a subset of the images may be tested."""
    ids, entries = np.array([[1, 1, 2]]), [segment(1, 7), segment(2, 3)]
    paths = write_dataset(
        tmp_path, {name: (ids, copy.deepcopy(entries)) for name in 'abc'}
    )
    good, bad = codes_of(ids, entries), np.full(ids.shape, NUM_CLASSES)
    samples = [sample(good, 100), sample(bad, 101)]
    once = evaluate(paths, samples)
    assert once['panoptic/PQ'] == pytest.approx(100 * 2 / 3)  # 1 TP, 1 FN per class
    assert once['panoptic/num_missing'] == 1
    again = evaluate(paths, [*samples, *samples[:1]])
    assert again == once


@pytest.mark.parametrize(
    ('data', 'error', 'words'),
    [
        (sample([[1000] * 9]), ValueError, r'a\.jpg is \(1, 9\).*\(1, 10\)'),
        (sample([[9] * 10]), ValueError, r'a\.jpg has label 9, but .* 4 classes'),
        (sample([[-1] * 10]), ValueError, 'negative value -1'),
        (sample([[1000] * 10], 5), KeyError, 'Image 5 is not in'),
        (
            sample([[1000] * 10], label_names=['a'] * 133),
            ValueError,
            'predicts 133 classes, the dataset has 4',
        ),
    ],
)
def test_what_does_not_fit_is_refused(wall, data, error, words):
    with pytest.raises(error, match=words):
        evaluate(wall, [data])


def test_mmdets_coding_has_room_for_999_classes(tmp_path):
    categories = [{'id': i, 'name': str(i), 'isthing': 1} for i in range(1000)]
    paths = write_dataset(tmp_path, {'a': ([[1, 1]], [segment(1, 3)])}, categories)
    with pytest.raises(ValueError, match=r'999 classes, the dataset has 1000'):
        evaluate(paths, [sample(np.full((1, 2), 1003), 100)])
    data = sample(np.full((1, 2), 3 + 2000), 100, label_divisor=2000)
    assert evaluate(paths, [data])['panoptic/PQ'] == 100


def test_json_that_disagrees_with_the_png_is_refused(tmp_path):
    paths = write_dataset(tmp_path, {'a': ([[1, 2]], [segment(1, 7)])})
    with pytest.raises(ValueError, match=r'a\.png.*only in the PNG: \[2\]'):
        evaluate(paths, [sample([[1000, 1000]])])


def test_missing_json_is_refused_before_training(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.json'):
        PanopticMetric(str(tmp_path / 'nowhere.json'), str(tmp_path))


def test_equals_mmdets_metric_on_damaged_coco_labels(shared, panopticapi):
    root = shared / 'data' / 'tiny_coco' / 'annotations'
    paths = {
        'ann_file': str(root / 'panoptic_val2017.json'),
        'seg_prefix': str(root / 'panoptic_val2017'),
    }
    annotations = PanopticAnnotations.load(paths['ann_file'])
    rng = np.random.RandomState(0)
    for damage in (False, True):
        metrics = [
            {'type': 'mmovseg.PanopticMetric', **paths},
            {'type': 'mmdet.CocoPanopticMetric', **paths},
        ]
        evaluator = Evaluator(metrics)
        evaluator.dataset_meta = {'classes': annotations.names}
        for image in annotations.images.values():
            ids = read_segment_ids(str(root / 'panoptic_val2017' / image.png_name))
            codes = np.full(ids.shape, 133)
            for number, entry in enumerate(image.segments, 1):
                label = annotations.labels[entry['category_id']]
                if damage and rng.rand() < 0.2:
                    label = rng.randint(133)
                codes[ids == entry['id']] = label + 1000 * number
            if damage:
                codes = np.roll(codes, (7, -9), (0, 1))
                codes[:40] = 133
            data = DetDataSample(
                metainfo={
                    'img_id': image.id,
                    'img_path': image.file_name,
                    'ori_shape': ids.shape,
                }
            )
            data.pred_panoptic_seg = PixelData(
                sem_seg=torch.tensor(codes)[None],
                metainfo={'label_divisor': 1000, 'ignore_index': 133},
            )
            evaluator.process([data])
        result = evaluator.evaluate(3)
        for name, suffix in itertools.product(('PQ', 'SQ', 'RQ'), ('', '_th', '_st')):
            own = result[f'panoptic/{name}{suffix}']
            assert own == pytest.approx(result[f'coco_panoptic/{name}{suffix}'])
            assert own == 100 if not damage else 1 < own < 99


# Seen and unseen classes


@pytest.fixture
def split(tmp_path):
    """Four columns each of wall, dog, sky and kite."""
    ids = np.repeat([[5, 6, 7, 8]], 4, axis=1)
    entries = [segment(i, cat['id']) for i, cat in enumerate(CATEGORIES, 5)]
    return write_dataset(tmp_path, {'a': (ids, entries)})


def test_seen_and_unseen_by_hand(split):
    # IoU 3/4 for the wall, the dog is missed, 4/5 for the sky, which takes a pixel of
    # the dog, and the kite is found whole.
    wall, sky, kite, void = 1000, 2002, 3003, NUM_CLASSES
    codes = [[*[wall] * 3, *[void] * 4, *[sky] * 5, *[kite] * 4]]
    result = evaluate(split, [sample(codes)], seen=['kite', 'wall', 'dog'])
    assert result['panoptic/PQ_seen'] == pytest.approx(100 * (3 / 4 + 0 + 1) / 3)
    assert result['panoptic/RQ_seen'] == pytest.approx(100 * 2 / 3)
    assert result['panoptic/SQ_seen'] == pytest.approx(100 * (3 / 4 + 0 + 1) / 3)
    assert result['panoptic/PQ_unseen'] == pytest.approx(80)
    expected = 2 / (1 / result['panoptic/PQ_seen'] + 1 / 80)
    assert result['panoptic/PQ_h'] == pytest.approx(expected)
    # Two kites in the place of one, each of IoU 1/2, are a miss and two mistakes.
    codes[0][-4:] = [3003, 3003, 4003, 4003]
    result = evaluate(split, [sample(codes)], seen=['wall', 'dog', 'sky'])
    assert result['panoptic/PQ_unseen'] == result['panoptic/PQ_h'] == 0
    whole = evaluate(split, [sample(codes)])
    assert whole == {name: result[name] for name in whole}  # the rest stays


def test_no_class_of_a_group_occurs(wall):
    result = evaluate(wall, [sample([[1000] * 10])], seen=['wall', 'dog'])
    assert result['panoptic/PQ_seen'] == 100
    for name in ('PQ_unseen', 'SQ_unseen', 'RQ_unseen', 'PQ_h'):
        assert math.isnan(result[f'panoptic/{name}'])


@pytest.mark.parametrize(
    ('seen', 'words'),
    [
        (['wall', 'dogs'], "1 of 2 seen classes are no classes .*: 'dogs'.*'dog'"),
        (['dog', 'wall', 'kite', 'sky'], 'All 4 classes .* are seen'),
        ('shapeworld_sen', "Did you mean 'shapeworld_seen'"),
    ],
)
def test_a_split_that_does_not_fit_is_refused_at_once(wall, seen, words):
    with pytest.raises(ValueError, match=words):
        PanopticMetric(**wall, seen=seen)
