import pytest
import torch

from mmovseg.models.backbones import CLIPConvBackbone

TINY = ['tiny-rn', 'tiny-convnext']


@pytest.mark.parametrize('name', TINY)
def test_four_maps_with_measured_channels_and_strides(name, seed):
    backbone = CLIPConvBackbone(name)
    maps = backbone(torch.randn(2, 3, 96, 64))
    assert backbone.strides == (4, 8, 16, 32)
    for x, channels, stride in zip(
        maps, backbone.out_channels, backbone.strides, strict=True
    ):
        assert x.shape == (2, channels, 96 // stride, 64 // stride)
        assert x.is_contiguous()


@torch.no_grad()
@pytest.mark.parametrize('name', TINY)
def test_channels_last_leaves_the_layout_of_the_tower(name, seed, monkeypatch):
    backbone = CLIPConvBackbone(name)
    images = torch.randn(2, 3, 96, 64)
    expected = backbone(images)
    backbone.channels_last = True
    for x, like in zip(backbone(images), expected, strict=True):
        assert x.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(x, like)
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    assert all(x.is_contiguous() for x in backbone(images))


@pytest.mark.parametrize('name', TINY)
def test_pooling_everything_equals_clips_own_image_embedding(name, seed):
    backbone = CLIPConvBackbone(name)
    images = torch.randn(2, 3, 64, 64)
    expected = backbone.visual(images)
    features = backbone(images)[-1]
    if backbone.is_resnet:
        # CLIP's own pooling also attends to the mean token: drop it there.
        pool = backbone.visual.attnpool
        tokens = features.flatten(2).permute(2, 0, 1)
        mean = tokens.mean(0, keepdim=True) + pool.positional_embedding[:1, None]
        keys = tokens + pool.positional_embedding[1:, None]
        expected, _ = torch.nn.functional.multi_head_attention_forward(
            mean,
            keys,
            keys,
            tokens.shape[-1],
            pool.num_heads,
            in_proj_weight=None,
            in_proj_bias=torch.cat(
                [pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]
            ),
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=pool.c_proj.weight,
            out_proj_bias=pool.c_proj.bias,
            use_separate_proj_weight=True,
            q_proj_weight=pool.q_proj.weight,
            k_proj_weight=pool.k_proj.weight,
            v_proj_weight=pool.v_proj.weight,
        )
        expected = expected[0]
    pooled = backbone.pool_masks(features, torch.ones(2, 3, 2, 2))
    for n in range(3):
        torch.testing.assert_close(pooled[:, n], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', TINY)
def test_pooling_looks_only_inside_the_mask(name, seed):
    backbone = CLIPConvBackbone(name)
    features = backbone(torch.randn(1, 3, 128, 128))[-1]
    masks = -torch.ones(1, 1, 4, 4)
    masks[..., :2] = 1
    changed = features.clone()
    # The ResNet's query is the mean over the whole map: keep that.
    changed[..., 2:] = changed[..., 2:].flip(-2)
    before = backbone.pool_masks(features, masks)
    torch.testing.assert_close(before, backbone.pool_masks(changed, masks))
    inside = features.clone()
    inside[:, ::2, :, :2] += 1
    assert not torch.allclose(before, backbone.pool_masks(inside, masks))


@pytest.mark.parametrize('name', TINY)
def test_an_empty_mask_gives_finite_embeddings(name, seed):
    backbone = CLIPConvBackbone(name)
    features = torch.randn(1, backbone.out_channels[-1], 2, 2)
    assert backbone.pool_masks(features, -torch.ones(1, 1, 2, 2)).isfinite().all()


@pytest.mark.parametrize('name', TINY)
def test_frozen_means_no_gradient_eval_mode_and_untouched_weights(name):
    backbone = CLIPConvBackbone(name)
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    backbone.init_weights()
    backbone.train()
    assert not any(module.training for module in backbone.modules())
    maps = backbone(torch.randn(2, 3, 64, 64))
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not any(x.requires_grad for x in maps)
    after = backbone.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_norms_are_folded_in_inference_and_follow_the_weights(seed):
    backbone, images = CLIPConvBackbone('tiny-rn'), torch.randn(1, 3, 64, 96)
    norms = [x for x in backbone.modules() if isinstance(x, torch.nn.BatchNorm2d)]
    for norm in norms:
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            torch.nn.init.normal_(tensor, 0.5)
    calls = []
    for norm in norms:
        norm.register_forward_hook(lambda *_: calls.append(1))
    keys = backbone.state_dict().keys()
    for _ in range(2):
        expected = backbone(images)  # with gradients: as trained
        assert len(calls) == len(norms)
        with torch.inference_mode():
            torch.testing.assert_close(backbone(images), expected)
        with torch.no_grad():
            torch.testing.assert_close(backbone(images), expected)
            first = backbone._folded.of(backbone.visual, images)
            assert backbone._folded.of(backbone.visual, images) is first
        assert len(calls) == len(norms)
        assert backbone.state_dict().keys() == keys
        calls.clear()
        state = {k: v * 1.1 for k, v in backbone.state_dict().items()}
        backbone.load_state_dict(state)
        with torch.no_grad():
            assert backbone._folded.of(backbone.visual, images) is not first


def test_a_vit_is_refused():
    with pytest.raises(ValueError, match='CLIPViTBackbone'):
        CLIPConvBackbone('tiny-vit')


@pytest.mark.slow
def test_a_tower_without_a_pyramid_is_refused():
    with pytest.raises(ValueError, match='ViT-B-16-SigLIP'):
        CLIPConvBackbone('ViT-B-16-SigLIP')
