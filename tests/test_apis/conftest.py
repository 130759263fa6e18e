"""A model whose masks are known: it finds red, green and blue by their color."""

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn

from mmovseg.models.fusion import MaskFusion
from mmovseg.models.segmentors import OVSegmentor
from mmovseg.models.structures import MaskPrediction, TextEmbeddings
from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

COLORS = Vocabulary((('red',), ('green',), ('blue',)), is_thing=(True, False, True))


@MODELS.register_module(force=True)
class ColorSegmentor(OVSegmentor):
    """Query i is the pixels where channel i of RGB is bright, at stride 4.

    With heatmaps it looks at the upper left 16 x 16 pixels of each, as DeOP might.
    """

    def __init__(self, width=1, data_preprocessor=None, heatmaps=False):
        BaseModel.__init__(self, data_preprocessor)
        self.linear = nn.Linear(3, width)
        self.fusion = MaskFusion()
        self.train_vocabulary = self.vocabulary = COLORS
        self.batch_sizes = []
        self.heatmaps = heatmaps

    def encode_vocabulary(self, vocabulary):
        class_ids = torch.tensor([*vocabulary.class_ids, len(vocabulary)])
        return TextEmbeddings(torch.zeros(len(class_ids), 0), class_ids)

    def segment(self, inputs, text):
        self.batch_sizes.append(len(inputs))
        masks = nn.functional.max_pool2d(inputs, 4) - 0.5  # [B, 3, h, w]
        num = text.count_classes()
        probs = torch.full((len(inputs), 3, num + 1), 0.01)
        for query in range(min(3, num)):
            probs[:, query, query] = 0.9 - 0.1 * query
        heatmaps = None
        if self.heatmaps:
            heatmaps = nn.functional.avg_pool2d(inputs, 16)  # [B, 3, h, w]
            for maps in heatmaps.flatten(0, 1):
                if maps.any():
                    row, column = maps.nonzero()[0].tolist()
                    maps.fill_(0)[row, column] = 0.02
        return [MaskPrediction(probs.log(), masks * 40, heatmaps)]


def make_config(**pipeline_options):
    resize = dict(type='mmdet.Resize', scale=(128, 64), keep_ratio=True)
    return Config(
        dict(
            default_scope='mmovseg',
            model=dict(
                type='ColorSegmentor',
                data_preprocessor=dict(
                    type='ImgDataPreprocessor',
                    bgr_to_rgb=True,
                    pad_size_divisor=32,
                    mean=[0, 0, 0],
                    std=[255, 255, 255],
                ),
            ),
            test_pipeline=[
                dict(type='LoadImageFromFile'),
                dict(resize, **pipeline_options),
                dict(
                    type='mmdet.PackDetInputs',
                    meta_keys=('img_path', 'ori_shape', 'img_shape'),
                ),
            ],
        )
    )


@pytest.fixture
def color_config():
    return make_config()
