"""Parity with the official FC-CLIP (R50), recorded in ../shared/golden."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_utils import (
    check_tap,
    fcclip_state_dict,
    relative_error,
    unpack,
    without_clip_weights,
)
from mmengine.structures import BaseDataElement

from mmovseg.models.structures import TextEmbeddings
from mmovseg.registry import MODELS

STRIDE4 = (64, 88)
pytestmark = pytest.mark.slow
SIZES = [(8, 11), (16, 22), (32, 44)]  # what the layers attend to, in turns


@pytest.fixture(scope='module')
def golden(shared):
    return np.load(shared / 'golden' / 'fcclip_r50.npz')


@pytest.fixture(scope='module')
def model(pytestconfig):
    path = pytestconfig.rootpath / 'configs/_base_/models/fcclip_r50.py'
    model = MODELS.build(without_clip_weights(path)).eval()
    prefixes = ('backbone', 'neck', 'decoder', 'text_classifier.logit_scale')
    state = fcclip_state_dict('r50', prefixes=(*prefixes, 'text_classifier.void'))
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
def front(model, inputs):
    """Backbone maps, mask features and levels."""
    features = model.backbone(inputs)
    mask_features, *levels = model.neck(features)
    return features, mask_features, levels


@torch.no_grad()
def test_backbone_and_pixel_decoder(golden, front):
    features, mask_features, levels = front
    for index, x in enumerate(features, start=2):
        check_tap(golden, f'cnn/res{index}', x, 1e-5)
    check_tap(golden, 'pixel/mask_features', mask_features, 1e-5)
    for index, x in enumerate(levels):
        check_tap(golden, f'pixel/memory{index}', x, 1e-5)


@torch.no_grad()
@pytest.mark.parametrize('index', [0, 1, 2])
def test_each_layer_from_the_recorded_masks(model, golden, front, index):
    decoder = model.decoder
    queries = decoder.query_feat.weight
    if index:
        queries = torch.from_numpy(golden[f'l{index}/query'])
    level, embedding = front[2][index], decoder.level_embed.weight[index]
    values = level.flatten(2).transpose(1, 2) + embedding
    position = torch.from_numpy(decoder_position(SIZES[index]))
    outside = unpack(golden[f'l{index}/attn_mask_bits'], SIZES[index])
    found = decoder.layers[index](
        queries[None],
        decoder.query_embed.weight[None],
        values + position,
        values,
        -outside,
    )
    expected = golden[f'l{index + 1}/query']
    assert relative_error(found[0], expected) < 1e-5
    assert np.abs(found[0].numpy() - expected).max() < 1e-4


def decoder_position(size):
    """Section 6 of the spec, channel by channel."""
    height, width = size
    result = np.zeros((height, width, 256))
    for channel in range(128):
        period = 10000 ** (2 * (channel // 2) / 128)
        wave = np.cos if channel % 2 else np.sin
        y = (np.arange(height) + 1) / (height + 1e-6) * 2 * np.pi / period
        x = (np.arange(width) + 1) / (width + 1e-6) * 2 * np.pi / period
        result[..., channel] = wave(y)[:, None]
        result[..., channel + 128] = wave(x)
    return result.reshape(-1, 256).astype(np.float32)


@torch.no_grad()
@pytest.mark.parametrize('index', [0, 1, 2, 3, 9])
def test_each_prediction_from_the_recorded_queries(model, golden, text, front, index):
    queries = model.decoder.query_feat.weight
    if index:
        queries = torch.from_numpy(golden[f'l{index}/query'])
    found = model.decoder._predict(queries[None], front[1], text)
    masks = unpack(golden[f'l{index}/hard_mask_bits'], STRIDE4)
    assert ((found.mask_logits > 0) != (masks > 0)).sum() <= 2
    error = np.abs(found.class_logits[0].numpy() - golden[f'l{index}/cls_logits'])
    assert np.quantile(error.max(1), 0.95) < 1e-4


def test_ensemble_from_the_recorded_logits(model, golden):
    trained = torch.from_numpy(golden['l9/cls_logits'])[None]
    clip = torch.from_numpy(golden['out_vocab_logits'])[None]
    seen = torch.from_numpy(golden['category_overlapping_mask']).bool()
    assert seen.tolist() == list(model.vocabulary.seen_in(model.train_vocabulary))
    valid = torch.from_numpy(golden['valid_mask'])[None]
    final = model.ensemble(trained, clip[..., :-1], seen, valid)
    assert np.abs(final[0].numpy() - golden['final_cls_logprob']).max() < 1e-5


@torch.no_grad()
def test_end_to_end(model, golden, text, inputs):
    """Hard masks amplify rounding in single queries: 95 % of them have to agree."""
    final = model.segment(inputs, text)[0]
    error = np.abs(final.class_logits[0].numpy() - golden['final_cls_logprob']).max(1)
    print(np.quantile(error, [0.5, 0.95, 1]), (error < 1e-3).mean())
    assert (error < 1e-3).mean() >= 0.95
    assert np.median(error) < 1e-4


@torch.no_grad()
@pytest.mark.parametrize(
    ('suffix', 'score', 'overlap'),
    [('', 0.0, 0.8), ('_overlap0', 0.0, 0.0), ('_score', 0.05, 0.4)],
)
def test_results(model, golden, text, inputs, suffix, score, overlap):
    config = dict(type='MaskFusion', object_mask_thr=score, iou_thr=overlap)
    size = tuple(golden['output_size'].tolist())
    sample = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size))
    (sample,) = MODELS.build(config)(
        model.segment(inputs, text)[0], [sample], model.vocabulary, inputs.shape[-2:]
    )
    coded = sample.pred_panoptic_seg.sem_seg[0].numpy()
    divisor = sample.pred_panoptic_seg.metainfo['label_divisor']
    labels = np.where(coded < divisor, 150, coded % divisor)
    expected = np.full(coded.shape, 150)
    for segment, label, _ in golden[f'segments_info{suffix}']:
        expected[golden[f'panoptic_seg{suffix}'] == segment] = label
    assert (labels == expected).mean() >= 0.999
    semantic = sample.pred_sem_seg.sem_seg[0].numpy()
    assert (semantic == golden['sem_seg_argmax']).mean() >= 0.999
    instances = sample.pred_instances
    assert len(instances) == golden['instances_num']
    order = instances.scores.argsort(descending=True)[:20]
    scores = instances.scores[order].numpy()
    assert np.abs(scores / golden['instances_scores'][:20] - 1).max() < 1e-2
