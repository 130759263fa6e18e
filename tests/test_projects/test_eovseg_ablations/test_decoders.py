"""The decoders and the neck of the ablations, against what the stages are given."""

import pytest
import torch
import torch.nn.functional as F

from mmovseg.models import LiteDecoder, VASNeck
from mmovseg.models.decoders.lite_decoder import DecoderStage
from mmovseg.models.structures import TextEmbeddings
from mmovseg.registry import MODELS
from projects.eovseg_ablations import (
    CrossAttentionDecoder,
    EarlyFusionDecoder,
    MultiScaleDecoder,
    MultiScaleNeck,
)
from projects.eovseg_ablations.cross_attention_decoder import CrossAttentionStage


def make(decoder_type, head='TDEEHead', spatial_channels=6):
    decoder = decoder_type(
        dict(type=f'mmovseg.{head}'),
        spatial_channels,
        embed_channels=5,
        channels=16,
        num_stages=3,
        num_queries=4,
    )
    weight = F.normalize(torch.randn(4, 5), dim=-1)
    text = TextEmbeddings(weight, torch.tensor([0, 1, 1, 2]), 2)
    return decoder, text, torch.randn(2, 16, 8, 8), torch.randn(2, 6, 2, 2)


@torch.no_grad()
def test_early_fusion_replaces_the_features_of_all_stages_and_heads(seed):
    decoder, text, features, spatial = make(EarlyFusionDecoder, 'MaskEmbedHead')
    both = torch.cat([features, decoder.spatial_upsample(spatial)], 1)
    weight, bias = decoder.early_fusion.weight, decoder.early_fusion.bias
    fused = torch.einsum('dc,bchw->bdhw', weight[..., 0, 0], both) + bias[:, None, None]
    plain = LiteDecoder(
        dict(type='mmovseg.MaskEmbedHead'),
        None,
        embed_channels=5,
        channels=16,
        num_stages=3,
        num_queries=4,
    )
    plain.load_state_dict(decoder.state_dict(), strict=False)
    for one, other in zip(
        decoder(features, spatial, text), plain(fused, None, text), strict=True
    ):
        torch.testing.assert_close(tuple(one[:2]), tuple(other[:2]))
    with pytest.raises(ValueError, match='spatial_backbone'):
        make(EarlyFusionDecoder, 'MaskEmbedHead', None)


@torch.no_grad()
@pytest.mark.parametrize('kind', [MultiScaleDecoder, CrossAttentionDecoder])
def test_stages_take_the_levels_in_turns(seed, kind):
    decoder, text, features, spatial = make(kind)
    coarse, fine = torch.randn(2, 16, 2, 2), torch.randn(2, 16, 4, 4)
    stages = decoder((features, coarse, fine), spatial, text)
    kernels = decoder.object_kernels.weight.expand(2, -1, -1)
    masks = torch.einsum('bnc,bchw->bnhw', kernels, features)
    levels = (coarse, fine, coarse)
    for stage, level, got in zip(decoder.stages, levels, stages, strict=True):
        # Bilinear, as averages of the four positions in the middle of a block.
        inside = F.interpolate(masks, level.shape[-2:], mode='bilinear') > 0
        kernels = stage.interact(kernels, inside, level)
        kernels, masks = stage.refine(kernels, features)
        torch.testing.assert_close(got.mask_logits, masks)
    with pytest.raises(ValueError, match='4 levels for 3 stages'):
        decoder((features, *[fine] * 4), spatial, text)


@torch.no_grad()
def test_of_one_scale_it_is_the_decoder_of_the_library(seed):
    decoder, text, features, spatial = make(MultiScaleDecoder)
    plain, *_ = make(LiteDecoder)
    plain.load_state_dict(decoder.state_dict())
    for all_stages in (True, False):
        got = decoder(features, spatial, text, all_stages=all_stages)
        expected = plain(features, spatial, text, all_stages=all_stages)
        for one, other in zip(got, expected, strict=True):
            torch.testing.assert_close(tuple(one[:2]), tuple(other[:2]))


@pytest.mark.parametrize(
    ('kind', 'stage'),
    [(MultiScaleDecoder, DecoderStage), (CrossAttentionDecoder, CrossAttentionStage)],
)
def test_the_decoder_decides_on_the_interaction(seed, kind, stage):
    decoder, text, features, spatial = make(kind)
    assert [type(x) for x in decoder.stages] == [stage] * 3
    sum(x.mask_logits.sum() for x in decoder(features, spatial, text)).backward()
    assert all(p.grad is not None for p in decoder.stages.parameters())


def test_fusions_add_the_parameters_that_the_paper_prints():
    """Table 4, L: none 218 M, EAF and SDI 223 M, TDEE 225 M (eovseg.md, section 18)."""

    def count(head, spatial_channels=768, kind=LiteDecoder):
        decoder = kind(head, spatial_channels, embed_channels=768)
        return sum(p.numel() for p in decoder.parameters()) / 1e6

    mask, sdi, tdee = (
        dict(type=f'mmovseg.{name}')
        for name in ('MaskEmbedHead', 'SDIHead', 'TDEEHead')
    )
    rest = 217.95 - count(mask, None)
    totals = [
        rest + count(mask, kind=EarlyFusionDecoder),
        rest + count(dict(sdi, num_queries=100)),
        rest + count(tdee),
    ]
    assert totals == pytest.approx([222.94, 223.35, 224.66], abs=0.01)


@torch.no_grad()
def test_levels_are_the_coarsest_maps_of_the_top_down_path(seed):
    neck = MultiScaleNeck(
        (4, 8, 12, 16), hidden_channels=5, out_channels=7, num_levels=2
    )
    sizes = ((8, 8), (4, 4), (2, 2), (1, 1))
    features = tuple(
        torch.randn(1, c, *s) for c, s in zip((4, 8, 12, 16), sizes, strict=True)
    )
    fused, coarse, fine = neck.eval()(features)
    torch.testing.assert_close(fused, neck.aggregator(features))
    aggregator = neck.aggregator
    y5 = aggregator.laterals[3](features[3])
    y4 = aggregator.laterals[2](features[2]) + aggregator.upsamples[2](y5)
    torch.testing.assert_close(coarse, neck.levels[0](y5))
    torch.testing.assert_close(fine, neck.levels[1](y4))
    assert coarse.shape == (1, 7, 1, 1)
    assert fine.shape == (1, 7, 2, 2)


@pytest.mark.parametrize('num_levels', [0, 4])
def test_a_wrong_number_of_levels_is_refused(num_levels):
    with pytest.raises(ValueError, match=rf'\[1, 3\], got {num_levels}'):
        MultiScaleNeck((4, 8, 12, 16), num_levels=num_levels)


def test_it_is_a_neck_that_selects():
    neck = MODELS.build(
        dict(type='MultiScaleNeck', in_channels=(4, 8), text_channels=6, num_levels=1)
    )
    assert isinstance(neck, VASNeck)
    assert neck.selection is not None
