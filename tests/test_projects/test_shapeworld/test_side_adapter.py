"""mmseg's SAN beside a packaged CLIP: its blocks, its loss, and names of our own."""

import importlib

import pytest
import torch
from golden_utils import ROOT
from mmengine.structures import BaseDataElement, PixelData

from mmovseg.apis import load_config
from mmovseg.models.clip import create_visual_transformer
from mmovseg.registry import MODELS

CONFIG = ROOT / 'projects/shapeworld/configs/mmseg/san_tiny-vit-whole.py'


@pytest.fixture(scope='module')
def config():
    return load_config(CONFIG).model


@pytest.fixture(scope='module')
def model(config):
    torch.manual_seed(0)
    model = MODELS.build(config)
    model.init_weights()
    return model


def test_the_frozen_blocks_are_the_rest_of_clip(model):
    """A query that looks at everything is what CLIP makes of its class token."""
    tower = create_visual_transformer('tiny-vit-whole', 'shapeworld').eval()
    torch.manual_seed(1)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = model.eval().backbone(images)
        bias = torch.zeros(2, 1, 20, 8, 8)
        [found] = [model.head.rec_with_attnbias([bias], features[-1])]
        tokens, _ = tower.transformer.forward_intermediates(
            tower.ln_pre(_tokens(tower, images)), indices=[5]
        )
        expected = tower.ln_post(tokens[:, 0]) @ tower.proj
    expected = torch.nn.functional.normalize(expected, dim=-1)
    torch.testing.assert_close(found[:, 0], expected, atol=2e-3, rtol=0)
    rest = model.head.rec_with_attnbias
    assert not any(x.requires_grad for x in rest.parameters())


def _tokens(tower, images):
    """Return CLIP's tokens of images of its own size."""
    clip = importlib.import_module('mmovseg.models.clip')
    tokens, grid = clip.embed_patches(tower, images)
    return clip.add_positions(tower, tokens, grid, mode='bicubic')


def test_a_step_teaches_the_head_and_void_alone(model):
    labels = torch.full((1, 64, 96), 3)
    labels[:, 8:40, 8:40] = 46
    labels[:, 50:] = 255
    data = BaseDataElement(metainfo=dict(img_shape=(64, 96), ori_shape=(64, 96)))
    data.gt_sem_seg = PixelData(data=labels)
    losses = model.train()(torch.randn(1, 3, 64, 96), [data], mode='loss')
    assert {'loss_cls_ce', 'loss_mask_ce', 'loss_mask_dice'} <= set(losses)
    sum(losses.values()).backward()
    taught = {
        name.split('.')[0] for name, x in model.named_parameters() if x.grad is not None
    }
    assert taught == {'head', 'text_classifier'}
    assert model.text_classifier.void_embedding.weight.grad.any()
    model.zero_grad()


@torch.no_grad()
def test_any_names_can_be_asked_for(model):
    model.eval().set_vocabulary(['sand', 'thing: red cross', 'thing: blorp'])
    [prediction] = model.segment(
        torch.randn(1, 3, 64, 96), model.encode_vocabulary(model.vocabulary)
    )
    assert prediction.class_logits.shape == (1, 20, 4)
    assert prediction.mask_logits.shape[:2] == (1, 20)


def test_blocks_that_do_not_fit(config):
    wrong = dict(config, head=dict(config['head']))
    wrong['head']['maskgen_cfg'] = dict(wrong['head']['maskgen_cfg'], num_layers=3)
    with pytest.raises(ValueError, match='num_layers is 3, but CLIP has 2 blocks'):
        MODELS.build(wrong)
