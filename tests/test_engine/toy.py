"""A model and data set that draw random numbers wherever a real run may."""

import random

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel

from mmovseg.registry import DATASETS, METRICS, MODELS, TRANSFORMS


@DATASETS.register_module(force=True)
class ToyDataset(BaseDataset):
    """Ten numbers; asks for a substitute for some of them."""

    METAINFO = {'classes': ('a', 'b')}

    def load_data_list(self):
        return [dict(value=float(i)) for i in range(10)]


@TRANSFORMS.register_module(force=True)
class ToyAugmentation(BaseTransform):
    def transform(self, results):
        # All three generators, as mmcv, mmdet and torchvision use them.
        noise = random.random() + np.random.rand()  # noqa: NPY002
        noise += torch.rand(()).item()
        if noise < 0.6:
            return None
        return dict(inputs=torch.tensor([results['value'], noise]))


@MODELS.register_module(force=True)
class ToyModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.norm = torch.nn.BatchNorm1d(1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        inputs = torch.stack(inputs)
        x = self.norm(self.layer(inputs))
        if mode == 'loss':
            noise = torch.rand_like(x) + random.random()
            noise += np.random.rand()  # noqa: NPY002
            return dict(loss=((x - noise) ** 2).mean())
        return [dict(score=torch.rand(()).item())] * len(inputs)


@METRICS.register_module(force=True)
class ToyMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return dict(score=float(np.mean([r['score'] for r in results])))
