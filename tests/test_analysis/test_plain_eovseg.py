"""The plain form of EOV-Seg: the same results as the model, computed the long way."""

from collections import Counter

import numpy as np
import pytest
import torch
from golden_utils import relative_error
from mmengine.structures import BaseDataElement
from torch import nn

from mmovseg.analysis import plain_eovseg
from mmovseg.analysis.profiling import build_model, random_text
from mmovseg.apis import init_model
from mmovseg.datasets.shapeworld import draw_numbered

TINY = 'eovseg_tiny_shapeworld'
CONVNEXT = {
    f'model.{part}.{key}': value
    for part in ('backbone', 'text_classifier')
    for key, value in dict(model_name='tiny-convnext', pretrained=None).items()
} | {'model.ensemble.valid_only': False}


@pytest.fixture
def tool():
    return plain_eovseg


@pytest.fixture
def trained():
    return init_model(TINY, 'shapeworld')


def picture(model, number=1):
    """Return a drawn picture, padded at the bottom, and its data sample."""
    image = torch.from_numpy(draw_numbered(0, 'val', number).image)
    image = image.permute(2, 0, 1).flip(0)[:, :100]  # BGR
    inputs = model.data_preprocessor(dict(inputs=[image]))['inputs']
    assert inputs.shape == (1, 3, 128, 128)
    size = dict(img_shape=(100, 128), ori_shape=(150, 190))
    return inputs, BaseDataElement(metainfo=size)


@torch.no_grad()
def check_same(tool, model, text):
    """Compare what both forms predict and find; return the number of segments."""
    plain = tool.PlainEOVSeg(model)
    inputs, sample = picture(model)
    ours, theirs = (form.infer(inputs, text, None) for form in (model, plain))
    for found, expected in zip(theirs[:2], ours[:2], strict=True):
        pairs = zip(found[0], expected[0], strict=True)
        errors = [relative_error(*pair) for pair in pairs]
        # A pixel of a hard mask may fall on the other side in single queries.
        assert np.quantile(errors, 0.9) < 1e-4
    model.fusion.semantic = True
    (result,) = plain.fusion(theirs, [sample], plain.vocabulary, inputs.shape[-2:])
    model.fusion(ours, [sample], model.vocabulary, tuple(inputs.shape[-2:]))
    expected = sample.pred_panoptic_seg
    ids = expected.sem_seg[0] // expected.label_divisor
    assert (result.panoptic == ids).float().mean() > 0.999
    assert (result.semantic == sample.pred_sem_seg.sem_seg[0]).float().mean() > 0.999
    keys = ('category_id', 'isthing')
    found = [[x[key] for key in keys] for x in result.segments]
    assert found == [[x[key] for key in keys] for x in expected.segments_info]
    return len(found)


def test_a_trained_resnet_gives_the_same(tool, trained):
    text = trained.text_classifier(trained.vocabulary)
    assert check_same(tool, trained, text) > 2


def test_a_random_convnext_gives_the_same(tool, seed):
    model = build_model(TINY, CONVNEXT, vocabulary='ade20k_150')
    model.fusion.iou_thr = 0.0
    # As a trained model would: some masks, and more than one class.
    nn.init.normal_(model.decoder.object_kernels.weight, std=5)
    for stage in model.decoder.stages:
        nn.init.normal_(stage.mask_kernels[-1].weight)
    assert check_same(tool, model, random_text(model)) > 1


def test_segments_of_hand_made_masks(tool, trained):
    plain = tool.PlainEOVSeg(trained)
    trained.fusion.iou_thr = 0.6
    stuff, thing = (plain.vocabulary.is_thing.index(x) for x in (False, True))
    void = len(plain.vocabulary)
    queries = [
        ('##......', stuff, 0.9),
        ('..##....', thing, 0.9),
        ('...#....', thing, 0.5),  # wins no pixel
        ('.#..##..', thing, 0.6),  # wins two of three
        ('########', void, 1.0),
        ('......#.', stuff, 0.4),  # joins the first
        ('..##...#', thing, 0.3),  # wins one of three
    ]
    probs = torch.zeros(len(queries), void + 1)
    masks = torch.empty(len(queries), 1, 8)
    for index, (row, label, score) in enumerate(queries):
        probs[index, label] = score
        masks[index, 0] = torch.tensor([9.0 if x == '#' else -9.0 for x in row])
    panoptic, segments = plain.fusion.merge(probs, masks, plain.vocabulary)
    assert panoptic.tolist() == [[1, 1, 2, 2, 3, 3, 1, 0]]
    assert segments == [
        dict(id=1, category_id=stuff, isthing=False),
        dict(id=2, category_id=thing, isthing=True),
        dict(id=3, category_id=thing, isthing=True),
    ]


@torch.no_grad()
def test_all_queries_may_be_void(tool, trained):
    plain = tool.PlainEOVSeg(trained)
    inputs, sample = picture(trained)
    text = trained.text_classifier(trained.vocabulary)
    prediction = plain.infer(inputs, text)
    prediction.class_logits[..., -1] = 1
    (result,) = plain.fusion(prediction, [sample], plain.vocabulary, (128, 128))
    assert result.segments == [] and not result.panoptic.any()
    assert result.panoptic.shape == (150, 190)


@torch.no_grad()
def test_the_work_is_done_the_long_way(tool, trained, largest_tensor):
    trained.set_vocabulary('ade20k_847')
    plain, (inputs, _) = tool.PlainEOVSeg(trained), picture(trained)
    text = random_text(trained)
    norms = Counter()
    for name, module in plain.model.named_modules():
        if isinstance(module, nn.BatchNorm2d) and '_folded' not in name:
            module.register_forward_hook(lambda *_, n=name: norms.update([n]))
    with largest_tensor() as largest:
        prediction = plain.infer(inputs, text)
    assert largest.numel >= len(text.weight) * 32 * 32  # names times positions
    names = {n for n, m in trained.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert norms == Counter(names)  # every norm once
    features, spatial = plain.backbone(inputs), plain.spatial_backbone(inputs)
    stages = plain.decoder(plain.neck(features, text), spatial, text)
    assert [x.class_logits.shape[-1] for x in stages] == [848] * 2
    with largest_tensor() as largest:
        plain.fusion(prediction, None, plain.vocabulary, (128, 128))
    assert largest.numel == 847 * 128 * 128  # all classes at once


def test_one_image_at_a_time(tool, trained):
    with pytest.raises(ValueError, match='one image, not 2'):
        tool.PlainEOVSeg(trained).infer(torch.zeros(2, 3, 64, 64), None)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'model.decoder.type': 'EarlyFusionDecoder'}, 'decoder of this EOVSeg'),
        ({'model.neck.type': 'MultiScaleNeck'}, 'neck, decoder of this EOVSeg'),
        ({'model.ensemble.type': 'ArithmeticEnsemble'}, 'ensemble of this EOVSeg'),
        ({'model.fusion.resize_probabilities': True}, 'fusion.resize_probabilities'),
    ],
)
def test_ablations_are_refused(tool, options, message):
    options = options | {'custom_imports.imports': 'projects.eovseg_ablations'}
    if 'model.decoder.type' in options:
        options['model.decoder.head.type'] = 'MaskEmbedHead'
    if 'model.neck.type' in options:
        options['model.neck.num_levels'] = 2
        options['model.decoder.type'] = 'MultiScaleDecoder'
    with pytest.raises(ValueError, match=message):
        tool.PlainEOVSeg(build_model(TINY, options))


def test_another_model_is_refused(tool):
    with pytest.raises(ValueError, match=r'decoder.* of this DeOP differ; take eovseg'):
        tool.PlainEOVSeg(build_model('deop_tiny_shapeworld-zs'))
