"""Parity with the official DeOP (ViT-B/16), recorded in ../shared/golden."""

import copy
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_utils import GOLDEN, load_module, relative_error
from mmengine.config import Config
from mmengine.structures import BaseDataElement, PixelData

from mmovseg.apis.config import without_downloads
from mmovseg.models.layers import sine_position, token_masks
from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

pytestmark = pytest.mark.slow
CONFIG = 'configs/deop/deop_vit-b16_released_cocostuff-156.py'
HALF = 5e-4  # relative rounding of arrays recorded in half precision
# The reference's own rounding: its masks are 7.5e-4 off the same model in float64. Ours
# in float32 are as far off on the other side, or equal to it, as processor and number
# of threads round; so masks and what follows from them are compared in float64.
ROUNDING = 1e-3
GRADIENTS = 1e-2


@pytest.fixture(scope='module')
def golden(shared):
    return np.load(shared / 'golden' / 'deop_vitb16.npz')


@pytest.fixture(scope='module')
def model(pytestconfig, golden):
    root = pytestconfig.rootpath
    converter = load_module(root / 'tools/model_converters/deop_to_mmovseg.py')
    fill = load_module(GOLDEN / 'fill_deop.py')
    shapes = json.loads((GOLDEN / 'deop_vitb16.json').read_text())['state_dict']
    official = fill.fill_state_dict(shapes)
    state, _, unknown = converter.convert(official, converter.find_kind(official))
    assert not unknown
    config = without_downloads(Config.fromfile(root / CONFIG).model)
    config.text_classifier.cache_dir = None
    model = MODELS.build(config).eval()
    model.load_state_dict(state)
    return model


@pytest.fixture(scope='module')
def inputs(model, golden):
    image = torch.from_numpy(golden['image']).permute(2, 0, 1).flip(0)  # BGR
    return model.data_preprocessor(dict(inputs=[image]))['inputs']


@pytest.fixture(scope='module')
@torch.no_grad()
def text(model):
    return model.text_classifier(model.vocabulary)


@pytest.fixture(scope='module')
@torch.no_grad()
def exact(model, inputs, text):
    """What the model predicts in float64."""
    double = copy.deepcopy(model).double()
    weight = text.weight.double()
    return double.segment(inputs.double(), text._replace(weight=weight))[0]


@torch.no_grad()
def test_text_features(model, golden, text):
    assert model.vocabulary == Vocabulary.load('plain/coco_stuff_171')
    assert relative_error(text.weight, golden['text_features']) < 1e-4


@torch.no_grad()
def test_proposals(model, golden, inputs, exact):
    features = model.proposals.backbone(inputs)
    samples = [(32, 8), (64, 4), (64, 2), (64, 1)]
    for level, (channel, place) in enumerate(samples, start=2):
        sample = features[level - 2][0, ::channel, ::place, ::place]
        assert relative_error(sample, golden[f'res{level}_sample']) < 5e-5
    pixels = model.proposals.pixel_decoder(features)
    sample = pixels[0, ::16, ::4, ::4]
    assert relative_error(sample, golden['mask_features_sample']) < 5e-5
    (proposals,) = model.proposals(inputs)
    expected = exact.mask_logits[0]
    assert relative_error(expected, golden['mask_logits']) < ROUNDING
    assert relative_error(proposals.mask_logits[0], expected) < 2 * ROUNDING


@torch.no_grad()
def test_clip_stream(model, golden, inputs):
    """Features after severance, from the recorded masks."""
    masks = torch.from_numpy(golden['mask_logits']).float()[None]
    severance = token_masks(masks, (18, 16)).sum(1)[0]
    assert relative_error(severance, golden['severance_weight']) < 1e-4
    features = model.backbone(inputs, masks)[0].permute(1, 2, 0)
    expected = F.normalize(torch.from_numpy(golden['clip_dense']).float(), dim=-1)
    assert relative_error(features, expected) < HALF


@torch.no_grad()
def test_anchors(model, golden, inputs, text):
    masks = torch.from_numpy(golden['mask_logits']).float()[None]
    features = model.backbone(inputs, masks)
    head = model.head
    values = features.flatten(2).transpose(1, 2)
    keys = values + sine_position((18, 16), 512)
    query_pos = head.queries.weight[None]
    target = head.layers[0](torch.zeros_like(query_pos), query_pos, keys, values)
    assert relative_error(target[0], golden['anchor_queries_after_layers']) < 1e-4
    small = torch.from_numpy(golden['mask_small']).float()[None]
    heatmaps = head.output(target, query_pos, keys, values, small)
    assert relative_error(heatmaps[0], golden['heatmaps']) < 2 * HALF
    regions, mean = head(features, masks)
    expected = golden['heatmaps'].astype(np.float32).mean(0)
    assert relative_error(mean[0].flatten(1), expected) < HALF
    regions = F.normalize(regions, dim=-1)
    assert relative_error(regions[0], golden['segment_embeddings']) < 5e-4
    assert relative_error(text.logits(regions, 100.0)[0], golden['class_logits']) < 5e-4


@torch.no_grad()
def test_end_to_end(model, golden, inputs, exact):
    assert relative_error(exact.class_logits[0], golden['class_logits']) < ROUNDING
    heatmaps = golden['heatmaps'].astype(np.float32).mean(0)
    # 1.06e-3, with the rounding to half precision.
    found = exact.heatmaps[0].flatten(1)
    assert relative_error(found, heatmaps) < ROUNDING + HALF / 2
    size = golden['image'].shape[:2]
    sample = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size))
    sample = model.fusion(exact, [sample], model.vocabulary, inputs.shape[-2:])[0]
    labels = sample.pred_sem_seg.data[0].numpy()
    assert (labels == golden['sem_map']).mean() > 0.999


@torch.no_grad()
def test_float32_is_as_good_as_its_rounding(model, inputs, text, exact):
    """Random weights amplify a last bit a thousand times; 1.6e-3 at most was seen."""
    (prediction,) = model.segment(inputs, text)
    error = relative_error(prediction.class_logits, exact.class_logits)
    assert error < 3 * ROUNDING
    labels = prediction.class_logits.argmax(-1)
    assert (labels == exact.class_logits.argmax(-1)).float().mean() > 0.95


def test_training_step(model, shared):
    """Losses and gradients of one step of stage 3, all dropout switched off.

    In float64, from which gradients of the recording are up to 6e-3 off.
    """
    model = copy.deepcopy(model).double()
    recorded = np.load(shared / 'golden' / 'deop_train_step.npz')
    expected = json.loads((shared / 'golden' / 'deop_train_step.json').read_text())
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, torch.nn.MultiheadAttention):
            module.dropout = 0.0
    images = torch.from_numpy(recorded['images']).permute(0, 3, 1, 2).flip(1)
    labels = torch.from_numpy(recorded['sem_seg']).long()
    samples = [
        BaseDataElement(gt_sem_seg=PixelData(data=x[None]), metainfo={}) for x in labels
    ]
    assert list(model.train_vocabulary.names) == expected['vocabulary']
    batch = model.data_preprocessor(dict(inputs=list(images), data_samples=samples))
    batch['inputs'] = batch['inputs'].double()
    losses = model.train()(**batch, mode='loss')
    sum(losses.values()).backward()
    names = dict(loss_focal='loss_ce', loss_dice='loss_decoder_dice')
    for ours, official in names.items():
        assert losses[ours].item() == pytest.approx(
            expected['losses'][official], rel=1e-4
        )
    found = {k: p.grad for k, p in model.named_parameters() if p.requires_grad}
    norms = expected['gradient_norms']
    checked = {
        'text_classifier.void_embedding.weight': 'clip_adapter.non_object_embedding',
        'text_classifier.prompt_learner.prefix': (
            'clip_adapter.prompt_learner.prefix_prompt'
        ),
        'backbone.visual_prompt.tables.0': (
            'clip_adapter.clip_model.visual.learned_position'
        ),
        'head.queries.weight': 'query_embedding.weight',
    }
    for block in range(1, 6):
        checked[f'backbone.visual_prompt.tables.{block}'] = (
            f'clip_adapter.clip_model.visual.transformer.resblocks.{block}'
            '.learned_position'
        )
    parts = (
        ('self_attention', 'self_attn'),
        ('cross_attention', 'multihead_attn_my'),
        ('ffn.0', 'linear1'),
        ('ffn.3', 'linear2'),
        ('norm', 'norm'),
    )
    for name in found:
        if name.startswith('head.layers.0.'):
            rest = name.removeprefix('head.layers.0.')
            for ours, official in parts:
                rest = rest.replace(ours, official)
            checked[name] = f'decoder.layers.0.{rest}'
        elif name.startswith('head.output.') and '_proj' not in name.split('.')[2]:
            rest = name.removeprefix('head.output.').replace('norm.', 'norm1.')
            rest = rest.replace('self_attention', 'self_attn')
            checked[name] = f'decoder.outlayer.{rest}'
    for name, official in checked.items():
        # Zero but for rounding: the first target of self-attention is zero.
        bound = dict(rel=GRADIENTS, abs=1e-6)
        assert found[name].norm().item() == pytest.approx(norms[official], **bound)
    for last in ('weight', 'bias'):
        packed = math.hypot(
            *(found[f'head.output.{p}_proj.{last}'].norm() for p in ('query', 'key'))
        )
        official = f'decoder.outlayer.multihead_attn_my.in_proj_{last}'
        assert packed == pytest.approx(norms[official], rel=GRADIENTS)
    projections = {
        f'head.output.{p}_proj.{x}'
        for p in ('query', 'key')
        for x in ('weight', 'bias')
    }
    assert set(found) == set(checked) | projections
    for name, array in (
        ('text_classifier.prompt_learner.prefix', 'grad_prefix_prompt'),
        ('text_classifier.void_embedding.weight', 'grad_non_object'),
        ('head.queries.weight', 'grad_query_embedding'),
    ):
        assert relative_error(found[name], recorded[array]) < GRADIENTS
