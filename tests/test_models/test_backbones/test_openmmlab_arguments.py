"""What all backbones of OpenMMLab take, ours too."""

import json

import open_clip
import pytest
import torch

from mmovseg.registry import MODELS

CONV = dict(type='CLIPConvBackbone', model_name='tiny-rn')
VIT = dict(type='CLIPViTBackbone', model_name='toy-vit')
DENSE = dict(type='DenseCLIPViT', model_name='toy-vit')
TIMM = dict(type='TimmViTBackbone', model_name='test_vit')
ALL = pytest.mark.parametrize(
    'config', [CONV, VIT, DENSE, TIMM], ids=lambda x: x['type']
)
VITS = pytest.mark.parametrize('config', [VIT, DENSE, TIMM], ids=lambda x: x['type'])


def build(config, **arguments):
    torch.manual_seed(0)
    return MODELS.build(dict(config, **arguments))


@pytest.fixture
def images(seed):
    return torch.randn(2, 3, 64, 96)


@torch.no_grad()
@ALL
def test_out_indices_choose_maps_finest_first(tiny_clip, config, images):
    total = {'TimmViTBackbone': 6}.get(config['type'], 4)
    every = build(config, out_indices=range(total))(images)
    chosen = build(config, out_indices=[1, -1])
    maps = chosen(images)
    assert isinstance(maps, tuple)
    for x, like, channels, stride in zip(
        maps, (every[1], every[-1]), chosen.out_channels, chosen.strides, strict=True
    ):
        assert torch.equal(x, like)
        assert x.is_contiguous()
        assert x.shape == (2, channels, 64 // stride, 96 // stride)


@torch.no_grad()
@VITS
def test_without_out_indices_it_is_the_last_map_alone(tiny_clip, config, images):
    alone = build(config)(images)
    assert isinstance(alone, torch.Tensor)
    assert torch.equal(build(config, out_indices=[-1])(images)[0], alone)


@torch.no_grad()
@pytest.mark.parametrize('dense', [False, True])
def test_maps_for_san_are_the_tokens_of_clip(tiny_clip, dense):
    """At the size of the position table, where nothing is interpolated."""
    options = dict(out_indices=[0, 2], out_origin=True, output_cls_token=True)
    backbone = (
        build(DENSE, projected=False, **options) if dense else build(VIT, **options)
    )
    images = torch.randn(2, 3, 64, 64)
    visual = build(DENSE).visual
    x = visual.conv1(images).flatten(2).transpose(1, 2)
    x = torch.cat([visual.class_embedding.expand(2, 1, -1), x], 1)
    x = visual.ln_pre(x + visual.positional_embedding)
    expected = [x]
    for index in range(3):
        x = visual.transformer.resblocks[index](x.transpose(0, 1)).transpose(0, 1)
        expected += [x] * (index in (0, 2))
    found = backbone(images)
    assert len(found) == len(backbone.out_channels) == 3
    for (patches, class_token), tokens in zip(found, expected, strict=True):
        torch.testing.assert_close(class_token, tokens[:, 0])
        torch.testing.assert_close(patches.flatten(2).transpose(1, 2), tokens[:, 1:])


@torch.no_grad()
def test_projected_maps_are_unit_vectors_of_the_shared_space(tiny_clip, images):
    backbone = build(DENSE, out_indices=[1, 3], output_cls_token=True)
    for patches, class_token in backbone(images):
        assert patches.shape[1] == class_token.shape[1] == backbone.embed_dims
        torch.testing.assert_close(patches.norm(dim=1), torch.ones(2, 4, 6))
        torch.testing.assert_close(class_token.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize(
    ('frozen', 'first'), [(-1, 0), (0, 1), (2, 3), (3, 4), (None, 9)]
)
@ALL
def test_frozen_stages_says_what_trains(tiny_clip, config, images, frozen, first):
    options = dict(frozen_stages=frozen, out_indices=[0, 1, 2, 3])
    backbone = build(config, **options).train()
    assert not any(
        module.training
        for module in backbone.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    )
    maps = backbone(images)
    if first > 4:
        assert not any(x.requires_grad for x in maps)
        assert not any(p.requires_grad for p in backbone.parameters())
        return
    sum(x.square().sum() for x in maps).backward()
    trained = {name for name, p in backbone.named_parameters() if p.grad is not None}
    asked = {name for name, p in backbone.named_parameters() if p.requires_grad}
    assert trained == asked

    def stage(name):
        """Say which stage a weight is of: 0 makes tokens or the first map."""
        words = name.replace('layer', '').split('.')
        numbers = [int(word) for word in words if word.isdigit()]
        in_stage = any(x in name for x in ('layer', 'stages', 'blocks'))
        return numbers[0] + ('layer' not in name) if in_stage else 0

    assert {stage(name) for name in trained} == set(range(first, 5))


@pytest.mark.parametrize(
    'config',
    [
        CONV,
        VIT,
        DENSE,
        TIMM,
        dict(type='AddedPrompt', channels=8, patch_size=8),
        dict(type='PrependedPrompt', channels=8, patch_size=8),
        dict(type='PromptLearner', channels=8),
        dict(type='TextClassifier', model_name='tiny-vit'),
    ],
    ids=lambda x: x['type'],
)
def test_init_cfg_is_refused_not_ignored(tiny_clip, config):
    cfg = dict(type='Pretrained', checkpoint='missing.pth')
    with pytest.raises(ValueError, match=r"takes no init_cfg, got .*'missing.pth'"):
        build(config, init_cfg=cfg)


@ALL
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(out_indices=[9]), 'has 9, but it has'),
        (dict(out_indices=[2, 1]), 'have to rise'),
        (dict(out_indices=[1, 1]), 'have to rise'),
        (dict(out_indices=3), r'is a sequence such as \(0, 1\), got 3'),
        (dict(frozen_stages=7), r'a number from -1 .*, got 7'),
    ],
)
def test_wrong_arguments_name_the_part(tiny_clip, config, arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        build(config, **arguments)
    assert config['type'] in str(error.value)


@pytest.mark.parametrize('config', [VIT, DENSE], ids=lambda x: x['type'])
def test_what_belongs_to_out_indices_needs_it(tiny_clip, config):
    with pytest.raises(ValueError, match='without out_indices'):
        build(config, output_cls_token=True)


def test_pooling_another_map_is_refused(images):
    backbone = build(CONV, out_indices=[0, 1, 2])
    with pytest.raises(ValueError, match='has to end with 3'):
        backbone.pool_masks(backbone(images)[-1], torch.ones(2, 1, 4, 6))


@torch.no_grad()
def test_a_table_that_is_no_square_is_resized(tiny_clip, tmp_path, seed):
    config = open_clip.get_model_config('toy-vit')
    config['vision_cfg']['image_size'] = [64, 32]
    (tmp_path / 'vit-wide.json').write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    backbone = build(VIT, model_name='vit-wide')
    images = torch.randn(1, 3, 64, 32)
    expected = backbone.intermediates.visual.forward_intermediates(
        images, indices=1, intermediates_only=True
    )['image_intermediates'][0]
    torch.testing.assert_close(backbone(images), expected)
    assert backbone(torch.randn(1, 3, 32, 64)).shape[-2:] == (2, 4)
