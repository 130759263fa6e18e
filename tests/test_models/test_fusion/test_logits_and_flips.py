"""seg_logits for mmseg's test-time augmentation, and results of flipped images."""

import pytest
import torch
from mmengine.structures import BaseDataElement

from mmovseg.models.structures import MaskPrediction
from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

VOCABULARY = Vocabulary.load(['thing: dog', 'thing: cat', 'stuff: sky'])
RESULTS = ('panoptic', 'instance', 'semantic', 'proposals', 'logits')


def fuse(masks, **meta):
    torch.manual_seed(0)
    fusion = MODELS.build(dict(type='MaskFusion', max_pixels=900))
    prediction = MaskPrediction(3 * torch.randn(1, 4, 4), masks)
    sample = BaseDataElement(metainfo=dict(img_shape=(32, 48), ori_shape=(32, 48)))
    sample.set_metainfo(meta)
    [found] = fusion(prediction, [sample], VOCABULARY, (32, 48), RESULTS)
    return found


@pytest.fixture
def masks(seed):
    return torch.randn(1, 4, 8, 12)


def test_logits_say_what_the_semantic_result_says(masks):
    found = fuse(masks)
    logits = found.seg_logits.data
    assert logits.shape == (3, 32, 48)
    assert torch.equal(logits.argmax(0), found.pred_sem_seg.data[0])
    large = torch.nn.functional.interpolate(
        masks, (32, 48), mode='bilinear', align_corners=False
    )[0].sigmoid()
    torch.manual_seed(0)
    scores = (3 * torch.randn(1, 4, 4)).softmax(-1)[0, :, :-1]
    expected = torch.einsum('nk,nhw->khw', scores, large).log()
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('direction', 'axes'),
    [('horizontal', [-1]), ('vertical', [-2]), ('diagonal', [-1, -2])],
)
def test_results_of_a_flipped_image_are_turned_back(masks, direction, axes):
    expected = fuse(masks)
    found = fuse(masks.flip(axes), flip=True, flip_direction=direction)
    for field, name in (
        ('pred_panoptic_seg', 'sem_seg'),
        ('pred_sem_seg', 'sem_seg'),
        ('pred_sem_seg', 'data'),
        ('pred_instances', 'masks'),
        ('pred_instances', 'bboxes'),
        ('pred_proposals', 'masks'),
    ):
        assert torch.equal(found.get(field).get(name), expected.get(field).get(name))
    torch.testing.assert_close(found.seg_logits.data, expected.seg_logits.data)


def test_unknown_directions_are_refused(masks):
    with pytest.raises(ValueError, match="got 'upwards'"):
        fuse(masks, flip=True, flip_direction='upwards')
