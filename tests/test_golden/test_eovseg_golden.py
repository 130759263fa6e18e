"""Parity with the official EOV-Seg (S), recorded in ../shared/golden."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_utils import check_tap, reference_state_dict, relative_error, unpack
from mmengine.config import Config
from mmengine.structures import BaseDataElement

from mmovseg.models import ops
from mmovseg.models.structures import TextEmbeddings
from mmovseg.registry import MODELS

pytestmark = pytest.mark.slow

CONFIG = 'configs/_base_/models/eovseg_r50.py'
STRIDE4 = (64, 88)


def build(root, path=CONFIG):
    """Build a model of a config without any weights from a network."""
    model = Config.fromfile(root / path).model
    for part in (model.backbone, model.spatial_backbone, model.text_classifier):
        part.pretrained = None
    model.train_vocabulary = 'coco_panoptic'
    model.test_vocabulary = 'ade20k_150'
    return MODELS.build(model).eval()


@pytest.fixture(scope='module', params=['fast', 'plain'], autouse=True)
def form(request):
    """Run everything in both forms of the operations."""
    with ops.plain(request.param == 'plain'):
        yield request.param


@pytest.fixture(scope='module')
def golden(shared):
    return np.load(shared / 'golden' / 'eovseg_s.npz')


@pytest.fixture(scope='module')
def model(pytestconfig, golden):
    model = build(pytestconfig.rootpath)
    state = reference_state_dict(
        's',
        prefixes=(
            'backbone',
            'spatial',
            'neck',
            'decoder',
            'text_classifier.logit_scale',
            'text_classifier.void',
        ),
    )
    missing = model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    assert all(key.startswith('text_classifier.clip.') for key in missing.missing_keys)
    return model


@pytest.fixture(scope='module')
def text(model, golden):
    """The recorded classifier with the void row of the reference weights."""
    void = F.normalize(model.text_classifier.void_embedding.weight, dim=-1)
    weight = torch.cat([torch.from_numpy(golden['text_classifier']), void])
    ids = torch.tensor([*model.vocabulary.class_ids, 150])
    assert np.bincount(ids[:-1]).tolist() == golden['num_templates'].tolist()
    return TextEmbeddings(weight.detach(), ids, 150)


@pytest.fixture(scope='module')
def inputs(model, golden):
    image = torch.from_numpy(golden['image']).permute(2, 0, 1).flip(0)  # BGR
    return model.data_preprocessor(dict(inputs=[image]))['inputs']


@pytest.fixture(scope='module')
@torch.no_grad()
def front(form, model, text, inputs):
    """Backbone maps, spatial map, image features and upsampled spatial features."""
    features = model.backbone(inputs)
    spatial = model.spatial_backbone(inputs)
    upsampled = model.decoder.spatial_upsample(spatial)
    return features, spatial, model.neck(features, text), upsampled


@torch.no_grad()
def test_front_end(model, golden, text, front):
    features, spatial, pixels, upsampled = front
    for level, x in enumerate(features, start=2):
        check_tap(golden, f'cnn/res{level}', x, 1e-5)
    check_tap(golden, 'vit/out', spatial, 1e-5)
    fused = model.neck.aggregator(features)
    check_tap(golden, 'aggr/out', fused, 1e-5)
    weight = model.neck.selection.attention(fused, text.weight)
    assert relative_error(weight[0, 0], golden['vas_weight']) < 1e-5
    check_tap(golden, 'vas/out', pixels, 1e-5)
    check_tap(golden, 'spatial/out', upsampled, 1e-5)


@torch.no_grad()
@pytest.mark.parametrize('index', [0, 1, 2])
def test_each_stage_from_the_recorded_masks(model, golden, text, front, index):
    _, _, pixels, spatial = front
    if index == 0:
        kernels = model.decoder.object_kernels.weight.unsqueeze(0)
        masks = unpack(golden['init/hard_mask_bits'], STRIDE4)
        own = torch.einsum('bnc,bchw->bnhw', kernels, pixels)
        assert ((own > 0) != (masks > 0)).sum() <= 2
    else:
        kernels = torch.from_numpy(golden[f's{index - 1}/obj_feat']).unsqueeze(0)
        masks = unpack(golden[f's{index - 1}/hard_mask_bits'], STRIDE4)
    kernels, own = model.decoder.stages[index](kernels, masks, pixels)
    assert relative_error(kernels[0], golden[f's{index}/obj_feat']) < 1e-5
    masks = unpack(golden[f's{index}/hard_mask_bits'], STRIDE4)
    assert ((own > 0) != (masks > 0)).sum() <= 2
    head = model.decoder.heads[index]
    regions = head(pixels, spatial, masks, kernels)
    logits = text.logits(regions, head.logit_scale.exp().clamp(max=100))
    expected = golden[f's{index}/cls_logits']
    assert relative_error(logits[0], expected) < 1e-5
    assert np.abs(logits[0].numpy() - expected).max() < 1e-4


@torch.no_grad()
def test_end_to_end(model, golden, text, front, inputs):
    """Hard masks amplify rounding in single queries: 95 of 100 have to agree."""
    features, spatial, pixels, _ = front
    raw = model.decoder(pixels, spatial, text)[-1]
    clip = text.logits(model.backbone.pool_masks(features[-1], raw.mask_logits), 100.0)
    valid = golden['valid_mask']
    assert relative_error(clip[0][valid], golden['out_vocab_logits'][valid]) < 1e-4
    final = model.segment(inputs, text)[0]
    for value, name in (
        (raw.class_logits, 's2/cls_logits'),
        (final.class_logits, 'final_cls_logprob'),
    ):
        expected = golden[name]
        error = np.linalg.norm(value[0].numpy() - expected, axis=1)
        error = error / np.linalg.norm(expected, axis=1)
        assert np.sort(error)[94] < 1e-4, name


@torch.no_grad()
@pytest.mark.parametrize(('threshold', 'suffix'), [(0.8, ''), (0.0, '_overlap0')])
def test_results(model, golden, text, inputs, threshold, suffix):
    model.fusion.iou_thr = threshold
    size = tuple(golden['output_size'].tolist())
    sample = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size))
    sample = model.fusion(
        model.segment(inputs, text)[0], [sample], model.vocabulary, inputs.shape[-2:]
    )[0]
    coded = sample.pred_panoptic_seg.sem_seg[0].numpy()
    divisor = sample.pred_panoptic_seg.metainfo['label_divisor']
    labels = np.where(coded < divisor, 150, coded % divisor)
    expected = np.full(coded.shape, 150)
    for segment, _, label in golden[f'segments_info{suffix}']:
        expected[golden[f'panoptic_seg{suffix}'] == segment] = label
    assert (labels == expected).mean() >= 0.999
    recorded = golden[f'panoptic_seg{suffix}']
    pairs = np.unique(
        np.stack([coded.ravel(), recorded.ravel()]), axis=1, return_counts=True
    )
    kept = pairs[1] > 20  # beyond single pixels the two maps are one to one
    assert len(set(pairs[0][0, kept])) == kept.sum() == len(set(pairs[0][1, kept]))
    semantic = sample.pred_sem_seg.sem_seg[0].numpy()
    assert (semantic == golden['sem_seg_argmax']).mean() >= 0.999
    instances = sample.pred_instances
    assert len(instances) == golden['instances_num']
    order = instances.scores.argsort(descending=True)[:20]
    scores = instances.scores[order].numpy()
    assert np.abs(scores / golden['instances_scores'] - 1).max() < 1e-2
    same = instances.labels[order].numpy() == golden['instances_classes']
    assert same.mean() >= 0.9
