"""A part gives the same numbers in a model of mmseg as inside its own."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmovseg.apis import load_config, set_vocabulary
from mmovseg.registry import MODELS

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / 'projects' / 'mixing' / 'configs'
NAMES = ('conv1', 'class_embedding', 'positional_embedding', 'ln_pre', 'resblocks')


def build(name):
    cfg = Config.fromfile(CONFIGS / 'mmseg' / f'{name}.py')
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(dict(cfg.model, _scope_='mmseg')).eval()


def as_mmseg(state):
    """Rename the weights of a CLIP ViT of open_clip for mmseg's ViT."""
    found = {}
    for name, value in state.items():
        name = name.rpartition('visual.')[2]
        if not name.removeprefix('transformer.').startswith(NAMES):
            continue
        for old, new in (
            ('transformer.resblocks', 'layers'),
            ('conv1', 'patch_embed.projection'),
            ('class_embedding', 'cls_token'),
            ('positional_embedding', 'pos_embed'),
            ('ln_pre', 'ln_pre'),
            ('attn.', 'attn.attn.'),
            ('ln_1', 'ln1'),
            ('ln_2', 'ln2'),
            ('mlp.c_fc', 'ffn.layers.0.0'),
            ('mlp.c_proj', 'ffn.layers.1'),
        ):
            name = name.replace(old, new)
        shapes = {'cls_token': (1, 1, -1), 'pos_embed': (1, *value.shape)}
        found[name] = value.view(shapes.get(name, value.shape))
    return found


VIT = dict(
    type='mmseg.VisionTransformer',
    img_size=(64, 64),
    patch_size=8,
    patch_pad=0,
    embed_dims=96,
    num_layers=4,
    num_heads=3,
    out_origin=True,
    out_indices=(1, 2, 3),
    output_cls_token=True,
    patch_bias=False,
    pre_norm=True,
    norm_cfg=dict(type='LN', eps=1e-5),
    act_cfg=dict(type='mmseg.QuickGELU'),
    interpolate_mode='bicubic',
)


@torch.no_grad()
@pytest.mark.parametrize('size', [(64, 64), (48, 80)])
@pytest.mark.parametrize('name', ['san_clip-vit', 'san_severed-clip'])
def test_image_encoder_of_san_is_mmsegs_vit(seed, name, size):
    """Of SAN with compiled ops only the image encoder, which needs none."""
    cfg = Config.fromfile(CONFIGS / 'mmseg' / f'{name}.py').model.image_encoder
    ours = MODELS.build(cfg)
    theirs = VIT
    if 'severance' in cfg:
        theirs = dict(type='SeveredViT', backbone=VIT, severance=cfg.severance)
    theirs = MODELS.build(theirs)
    theirs.eval()  # which returns None
    vit = getattr(theirs, 'backbone', theirs)
    weights = as_mmseg(ours.state_dict())
    weights = {k: v for k, v in weights.items() if k in vit.state_dict()}
    assert vit.load_state_dict(weights)
    images = torch.randn(2, 3, *size)
    for found, expected in zip(ours(images), theirs(images), strict=True):
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_neck_gives_what_it_gives_in_eovseg(seed):
    mixed = build('upernet_vas-neck')
    names = list(mixed.neck.vocabulary.names)
    cfg = load_config('eovseg_tiny_shapeworld').model
    cfg.update(train_vocabulary=names, test_vocabulary=names)
    cfg.neck.update(hidden_channels=16, out_channels=32)
    cfg.decoder.channels = 32
    cfg.text_classifier.templates = ['a {}']
    own = MODELS.build(cfg).eval()
    own.backbone.load_state_dict(mixed.backbone.state_dict())
    own.text_classifier.load_state_dict(mixed.neck.text.state_dict())
    weights = mixed.neck.state_dict()
    own.neck.load_state_dict({k: weights[k] for k in own.neck.state_dict()})
    images = torch.randn(2, 3, 64, 96)
    text = own.encode_vocabulary(own.vocabulary)
    expected = own.neck(own.backbone(images), text)
    levels = mixed.extract_feat(images)
    torch.testing.assert_close(levels[0], expected)
    assert [64 // x.shape[-2] for x in levels] == [4, 8, 16, 32]
    # The whole of mmseg's model follows the names.
    before = mixed(images, mode='tensor')
    set_vocabulary(mixed, ['kite', 'tree', 'sky', 'sea', 'dog'])
    assert not torch.equal(mixed(images, mode='tensor'), before)
    # As does a model of ours, wherever in it the neck is.
    own.backbone.neck = mixed.neck
    own.set_vocabulary(['kite', 'tree'])
    assert mixed.neck.vocabulary.names == ('kite', 'tree')


@torch.no_grad()
def test_dense_clip_gives_what_it_gives_alone(seed):
    mixed = build('fcn_severed-clip')
    own = MODELS.build(
        dict(
            type='DenseCLIPViT',
            model_name='tiny-vit',
            severance=[dict(block=-1, alpha=1.0)],
        )
    )
    own.load_state_dict(mixed.backbone.state_dict())
    images = torch.randn(2, 3, 64, 96)
    assert torch.equal(mixed.extract_feat(images)[0], own(images))


def test_order_of_maps_is_checked_in_a_model_of_mmseg(seed):
    mixed = build('upernet_vas-neck')
    features = mixed.backbone(torch.randn(1, 3, 64, 96))
    with pytest.raises(ValueError, match='VASNeck was built for maps of'):
        mixed.neck(features[::-1])
