"""The converters of data sets and files for them, for tests."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData, PixelData
from PIL import Image

from mmovseg.formats.panoptic_format import read_segment_ids
from mmovseg.registry import DATASETS

TOOLS = Path(__file__).resolve().parents[1] / 'tools' / 'dataset_converters'


def load_tool(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # worker processes look the functions up by name
    spec.loader.exec_module(module)
    return module


def convert(tool, root, *options, workers=1):
    if isinstance(tool, str):
        tool = load_tool(tool)
    tool.main([str(root), '--partial', '--workers', str(workers), *options])


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path)


def photo(height, width):
    rng = np.random.RandomState(height)
    return rng.randint(0, 255, (height, width, 3)).astype(np.uint8)


def times(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob('*.*')}


def score_truth(config, dataset):
    """Take the annotation of every photo for the prediction."""
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    load = {'type': 'LoadPanopticAnnotations'}
    options = {**config.test_dataloader.dataset, 'pipeline': [load]}
    for annotated, item in zip(DATASETS.build(options), dataset, strict=True):
        sample = item['data_samples']
        labels = torch.from_numpy(annotated['gt_seg_map']).long()
        ids = torch.from_numpy(
            read_segment_ids(annotated['seg_map_path'], None).astype(np.int64)
        )
        _, number = ids.unique(return_inverse=True)
        codes = torch.where(labels == 255, 0, labels + 1000 * (number + 1))
        sample.pred_panoptic_seg = PixelData(sem_seg=codes[None])
        sample.pred_panoptic_seg.set_metainfo({'label_divisor': 1000})
        sample.pred_sem_seg = PixelData(sem_seg=labels[None])
        masks = torch.from_numpy(annotated['gt_masks'].masks).bool()
        sample.pred_instances = InstanceData(
            labels=torch.from_numpy(annotated['gt_bboxes_labels']),
            scores=torch.ones(len(masks)),
            masks=masks,
            bboxes=annotated['gt_bboxes'].tensor,
        )
        evaluator.process([sample])
    return evaluator.evaluate(len(dataset))
