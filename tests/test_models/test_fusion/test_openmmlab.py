"""mmdet's and mmseg's visualisers draw the results.

Their evaluators are in tests/test_evaluation/test_fusion_results.py.
"""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer

from mmovseg.models.fusion import MaskFusion
from mmovseg.models.structures import MaskPrediction
from mmovseg.vocabulary import Vocabulary

# Stuff first: label 0 is what mmdet's coding would lose.
VOCABULARY = Vocabulary((('wall',), ('cat',), ('cup',)), (False, True, True))
META = dict(img_shape=(64, 96), ori_shape=(64, 96))
PALETTE = [(0, 0, 0), (255, 0, 0), (0, 255, 0)]
IMAGE = np.zeros((64, 96, 3), np.uint8)


@pytest.fixture
def truth():
    labels = torch.zeros(64, 96, dtype=torch.int64)
    labels[8:40, 8:32] = 1
    labels[16:56, 48:88] = 2
    return labels


def predict(truth, sample):
    """Queries that are exactly the three segments."""
    masks = torch.stack([truth[2::4, 2::4] == i for i in range(3)])
    probs = torch.full((1, 3, 4), 0.02)
    probs[0, range(3), range(3)] = 0.94
    prediction = MaskPrediction(probs.log(), (masks * 20.0 - 10)[None])
    MaskFusion()(prediction, [sample], VOCABULARY, (64, 96))
    return sample


@pytest.mark.parametrize('field', ['panoptic_seg', 'instances', 'sem_seg'])
def test_visualizer_of_mmdet(truth, field):
    """Below mmdet's limits of 1000 classes (panoptic) and 255 (semantic)."""
    sample = predict(truth, DetDataSample(metainfo=META))
    kept = DetDataSample(metainfo=META)
    setattr(kept, f'pred_{field}', getattr(sample, f'pred_{field}'))
    visualizer = DetLocalVisualizer(name=f'fusion_{field}')
    visualizer.dataset_meta = dict(classes=VOCABULARY.names, palette=PALETTE)
    visualizer.add_datasample('x', IMAGE, kept, draw_gt=False)
    drawn = visualizer.get_image()
    assert (drawn[truth == 2] != IMAGE[truth == 2]).any()


def test_visualizer_of_mmseg(truth):
    visualizer = SegLocalVisualizer(name='fusion_mmseg')
    visualizer.dataset_meta = dict(classes=VOCABULARY.names, palette=PALETTE)
    sample = predict(truth, SegDataSample(metainfo=META))
    visualizer.add_datasample('x', IMAGE, sample, with_labels=False)
    drawn = visualizer.get_image()
    assert drawn[50, 70].argmax() == 1  # a cup is green
