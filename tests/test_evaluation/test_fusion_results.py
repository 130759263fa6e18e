"""OpenMMLab's metrics and ours on the results of MaskFusion."""

import importlib.util
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData

from mmovseg.datasets import PanopticDataset
from mmovseg.models.fusion import MaskFusion
from mmovseg.models.structures import MaskPrediction
from mmovseg.vocabulary import Vocabulary

TOOL = (
    Path(__file__).resolve().parents[2] / 'tools/dataset_converters/make_shapeworld.py'
)
SIZE = 64


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    """Four drawn pictures with their labels."""
    spec = importlib.util.spec_from_file_location('make_shapeworld', TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    root = tmp_path_factory.mktemp('shapes')
    tool.main(
        [
            '--out',
            str(root),
            '--num-train',
            '0',
            '--num-val',
            '4',
            '--image-size',
            str(SIZE),
        ]
    )
    return PanopticDataset(
        ann_file='annotations/panoptic_val.json',
        data_root=str(root),
        data_prefix={'img': 'val', 'seg': 'annotations/panoptic_val'},
        pipeline=[
            {'type': 'mmovseg.LoadImageFromFile'},
            {'type': 'mmovseg.LoadPanopticAnnotations'},
            {'type': 'mmdet.PackDetInputs'},
        ],
    )


def perfect_model(sample, vocabulary, num_queries=12):
    """Predict the ground truth, as class and mask logits of a batch of one."""
    labels = sample.gt_instances.labels.tolist()
    masks = list(sample.gt_instances.masks.to_tensor(torch.bool, 'cpu'))
    label_map = sample.gt_sem_seg.sem_seg[0]
    for label in label_map.unique().tolist():
        if not vocabulary.is_thing[label]:
            labels.append(label)
            masks.append(label_map == label)
    class_logits = torch.zeros(1, num_queries, len(vocabulary) + 1)
    class_logits[:, len(labels) :, -1] = 20
    mask_logits = torch.full((1, num_queries, SIZE, SIZE), -20.0)
    for query, (label, mask) in enumerate(zip(labels, masks, strict=True)):
        class_logits[0, query, label] = 20
        mask_logits[0, query][mask] = 20
    return MaskPrediction(class_logits, mask_logits)


@pytest.fixture
def results(shapes):
    vocabulary = Vocabulary.load('shapeworld')
    samples = []
    for item in shapes:
        sample = item['data_samples']
        # mmseg's metric wants its own field names.
        sample.gt_sem_seg = PixelData(
            sem_seg=sample.gt_sem_seg.sem_seg, data=sample.gt_sem_seg.sem_seg
        )
        prediction = perfect_model(sample, vocabulary)
        samples += MaskFusion()(prediction, [sample], vocabulary, (SIZE, SIZE))
    return samples


def test_every_metric_finds_the_truth(shapes, results, panopticapi):
    root = Path(shapes.data_root) / 'annotations'
    panoptic = {
        'ann_file': str(root / 'panoptic_val.json'),
        'seg_prefix': str(root / 'panoptic_val'),
    }
    instances = {'ann_file': str(root / 'instances_val.json'), 'metric': 'segm'}
    evaluator = Evaluator(
        [
            # First, because it writes into what it is given.
            {'type': 'mmdet.CocoPanopticMetric', **panoptic},
            {'type': 'mmovseg.PanopticMetric', **panoptic},
            {'type': 'mmdet.CocoMetric', **instances},
            {'type': 'mmovseg.InstanceMetric', **instances},
            {'type': 'mmseg.IoUMetric', 'prefix': 'mmseg'},
            {'type': 'mmovseg.SemanticMetric', **panoptic},
        ]
    )
    evaluator.dataset_meta = shapes.metainfo
    evaluator.process(results)
    scores = evaluator.evaluate(len(results))
    for name in (
        *('panoptic/PQ', 'panoptic/PQ_th', 'panoptic/PQ_st', 'coco_panoptic/PQ'),
        *('semantic/mIoU', 'semantic/mIoU_union', 'semantic/pAcc'),
        *('mmseg/mIoU', 'mmseg/aAcc'),
    ):
        assert scores[name] == pytest.approx(100), name
    for name in ('coco/segm_mAP', 'instance/segm_mAP'):
        assert scores[name] == pytest.approx(1), name


def test_mmdets_and_our_panoptic_scores_agree_on_errors(shapes, results, panopticapi):
    root = Path(shapes.data_root) / 'annotations'
    panoptic = {
        'ann_file': str(root / 'panoptic_val.json'),
        'seg_prefix': str(root / 'panoptic_val'),
    }
    for sample in results:
        codes = sample.pred_panoptic_seg.sem_seg
        void = sample.pred_panoptic_seg.ignore_index
        codes[:, : SIZE // 3] = void
        sample.pred_panoptic_seg.sem_seg = codes.roll(5, 2)
    evaluator = Evaluator(
        [
            {'type': 'mmovseg.PanopticMetric', **panoptic},
            {'type': 'mmdet.CocoPanopticMetric', **panoptic},
        ]
    )
    evaluator.dataset_meta = shapes.metainfo
    evaluator.process(results)
    scores = evaluator.evaluate(len(results))
    assert 5 < scores['panoptic/PQ'] < 95
    for name in ('PQ', 'SQ', 'RQ', 'PQ_th', 'SQ_th', 'RQ_th', 'PQ_st', 'RQ_st'):
        assert scores[f'panoptic/{name}'] == pytest.approx(
            scores[f'coco_panoptic/{name}']
        )


def test_no_instance_at_all_is_no_crash(shapes, results):
    """Before training a model may find nothing."""
    path = Path(shapes.data_root) / 'annotations' / 'instances_val.json'
    config = {'type': 'mmovseg.InstanceMetric', 'ann_file': str(path), 'metric': 'segm'}
    for sample in results:
        sample.pred_instances = sample.pred_instances[:0]
    evaluator = Evaluator([config])
    evaluator.dataset_meta = shapes.metainfo
    evaluator.process(results)
    assert evaluator.evaluate(4)['instance/segm_mAP'] == 0
