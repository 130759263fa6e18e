import pytest
import torch
import torch.nn.functional as F

from mmovseg.models.heads import CrossAttentionDecoder, LiteDecoder
from mmovseg.models.layers import CrossAttentionStage, DecoderStage
from mmovseg.models.structures import TextEmbeddings


def make(decoder_type=LiteDecoder, head='TDEEHead', spatial_channels=6, **changes):
    decoder = decoder_type(
        dict(type=f'mmovseg.{head}'),
        spatial_channels,
        embed_channels=5,
        channels=16,
        num_stages=3,
        num_queries=4,
        **changes,
    )
    weight = F.normalize(torch.randn(4, 5), dim=-1)
    text = TextEmbeddings(weight, torch.tensor([0, 1, 1, 2]), 2)
    return decoder, text, torch.randn(2, 16, 8, 8), torch.randn(2, 6, 2, 2)


@torch.no_grad()
def test_the_last_stage_alone_equals_the_last_of_all(seed):
    decoder, text, pixels, spatial = make()
    stages = decoder(pixels, spatial, text)
    alone = decoder(pixels, spatial, text, all_stages=False)
    assert len(stages) == 3
    assert len(alone) == 1
    torch.testing.assert_close(tuple(alone[0]), tuple(stages[-1]))
    assert stages[0].class_logits.shape == (2, 4, 3)
    assert stages[0].mask_logits.shape == (2, 4, 8, 8)


@torch.no_grad()
def test_inference_classifies_once(seed):
    decoder, text, pixels, spatial = make()
    calls = []
    for head in decoder.heads:
        head.register_forward_hook(lambda *_: calls.append(1))
    decoder(pixels, spatial, text, all_stages=False)
    assert len(calls) == 1


@torch.no_grad()
def test_the_factor_of_the_cosine_is_bounded(seed):
    decoder, text, pixels, spatial = make()
    decoder.heads[-1].logit_scale.fill_(9.0)
    logits = decoder(pixels, spatial, text)[-1].class_logits
    assert 0 < logits.abs().max() <= 100


def watch_stages(decoder):
    """Record what the stages and heads are called with."""
    calls = {'stages': [], 'heads': []}
    for name, seen in calls.items():
        for module in getattr(decoder, name):
            module.register_forward_hook(lambda _, x, __, seen=seen: seen.append(x))
    return calls


@torch.no_grad()
def test_early_fusion_replaces_the_pixels_of_all_stages_and_heads(seed):
    decoder, text, pixels, spatial = make(head='MaskEmbedHead', early_fusion=True)
    calls = watch_stages(decoder)
    decoder(pixels, spatial, text)
    both = torch.cat([pixels, decoder.spatial_upsample(spatial)], 1)
    weight, bias = decoder.early_fusion.weight, decoder.early_fusion.bias
    fused = torch.einsum('dc,bchw->bdhw', weight[..., 0, 0], both) + bias[:, None, None]
    kernels = decoder.object_kernels.weight
    first = torch.einsum('nc,bchw->bnhw', kernels, fused)
    torch.testing.assert_close(calls['stages'][0][1], first)
    for args in calls['stages']:
        torch.testing.assert_close(args[2], fused)
        torch.testing.assert_close(args[3], fused)
    for args in calls['heads']:
        torch.testing.assert_close(args[0], fused)


@torch.no_grad()
def test_without_spatial_features_nothing_is_upsampled(seed):
    decoder, text, pixels, _ = make(head='MaskEmbedHead', spatial_channels=None)
    assert len(decoder(pixels, None, text)) == 3
    assert not any('spatial' in name for name in decoder.state_dict())
    with pytest.raises(ValueError, match='spatial_backbone'):
        make(head='MaskEmbedHead', spatial_channels=None, early_fusion=True)


@torch.no_grad()
def test_stages_take_the_levels_in_turns(seed):
    decoder, text, pixels, spatial = make()
    calls = watch_stages(decoder)
    coarse, fine = torch.randn(2, 16, 2, 2), torch.randn(2, 16, 4, 4)
    decoder((pixels, coarse, fine), spatial, text)
    for args, level in zip(calls['stages'], (coarse, fine, coarse), strict=True):
        assert args[2] is pixels
        assert args[3] is level
    with pytest.raises(ValueError, match='4 levels for 3 stages'):
        decoder((pixels, *[fine] * 4), spatial, text)


@pytest.mark.parametrize(
    ('decoder_type', 'stage_type'),
    [(LiteDecoder, DecoderStage), (CrossAttentionDecoder, CrossAttentionStage)],
)
def test_the_decoder_decides_on_the_interaction(seed, decoder_type, stage_type):
    decoder, text, pixels, spatial = make(decoder_type)
    assert [type(stage) for stage in decoder.stages] == [stage_type] * 3
    sum(x.mask_logits.sum() for x in decoder(pixels, spatial, text)).backward()
    assert all(p.grad is not None for p in decoder.stages.parameters())


def test_fusions_add_the_parameters_that_the_paper_prints():
    """Table 4, L: none 218 M, EAF and SDI 223 M, TDEE 225 M (eovseg.md, section 18)."""

    def count(head, spatial_channels=768, **changes):
        decoder = LiteDecoder(head, spatial_channels, embed_channels=768, **changes)
        return sum(p.numel() for p in decoder.parameters()) / 1e6

    mask, sdi, tdee = (
        dict(type=f'mmovseg.{name}')
        for name in ('MaskEmbedHead', 'SDIHead', 'TDEEHead')
    )
    rest = 217.95 - count(mask, None)
    totals = [
        rest + count(mask, early_fusion=True),
        rest + count(dict(sdi, num_queries=100)),
        rest + count(tdee),
    ]
    assert totals == pytest.approx([222.94, 223.35, 224.66], abs=0.01)


@pytest.mark.parametrize(('stride', 'steps'), [(4, 0), (8, 1), (16, 2), (32, 3)])
def test_spatial_features_of_any_stride_come_to_that_of_the_pixels(stride, steps):
    decoder = LiteDecoder(
        dict(type='TDEEHead'), 12, embed_channels=16, channels=8, spatial_stride=stride
    )
    spatial = decoder.spatial_upsample(torch.randn(1, 12, 64 // stride, 96 // stride))
    assert spatial.shape == (1, 12, 16, 24)
    names = [type(layer).__name__ for layer in decoder.spatial_upsample]
    assert names.count('ConvTranspose2d') == names.count('GELU') == steps


def test_other_strides_of_spatial_features_are_refused():
    with pytest.raises(ValueError, match=r'spatial_stride must be .* got 14'):
        LiteDecoder(dict(type='TDEEHead'), 12, embed_channels=16, spatial_stride=14)
