"""Evaluate made-up predictions, in one process or in several over gloo."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_rank
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData, PixelData
from torch.utils.data import DataLoader, TensorDataset

from mmovseg.formats.panoptic_format import PanopticAnnotations


def predict(image):
    """Guess something that depends on the image only."""
    rng = np.random.RandomState(image.id)
    labels = torch.tensor(rng.randint(0, 4, (1, image.height, image.width)))
    data = DetDataSample(metainfo={'img_id': image.id, 'img_path': image.file_name})
    data.pred_panoptic_seg = PixelData(sem_seg=labels + 1000)
    data.pred_sem_seg = PixelData(sem_seg=labels)
    masks = labels == torch.arange(4)[:, None, None]
    data.pred_proposals = InstanceData(masks=masks)
    data.pred_instances = InstanceData(  # everything is a dog
        masks=torch.ones_like(masks[:1]),
        labels=torch.ones(1).long(),
        scores=torch.from_numpy(rng.rand(1)),
    )
    return data


def evaluate(folder):
    """Evaluate as MMEngine's loop does: equal shards, in batches."""
    paths = {
        'ann_file': f'{folder}/annotations/panoptic_val.json',
        'seg_prefix': f'{folder}/annotations/panoptic_val',
    }
    images = list(PanopticAnnotations.load(paths['ann_file']).images.values())
    kinds = ('PanopticMetric', 'SemanticMetric', 'MaskRecallMetric')
    instances = {
        'type': 'mmovseg.InstanceMetric',
        'ann_file': f'{folder}/annotations/instances_val.json',
    }
    evaluator = Evaluator(
        [{'type': f'mmovseg.{kind}', **paths} for kind in kinds] + [instances]
    )
    with open(instances['ann_file']) as file:
        categories = json.load(file)['categories']
    evaluator.dataset_meta = {'classes': [cat['name'] for cat in categories]}
    dataset = TensorDataset(torch.arange(len(images)))
    for (batch,) in DataLoader(dataset, 2, sampler=DefaultSampler(dataset, False)):
        evaluator.process([predict(images[index]) for index in batch])
    return evaluator.evaluate(len(images))


if __name__ == '__main__':
    torch.distributed.init_process_group('gloo')
    result = evaluate(sys.argv[1])
    if get_rank() == 0:
        Path(sys.argv[2]).write_text(json.dumps(result))
    torch.distributed.destroy_process_group()
