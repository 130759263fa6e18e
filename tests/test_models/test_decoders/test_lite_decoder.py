import pytest
import torch
import torch.nn.functional as F

from mmovseg.models import LiteDecoder
from mmovseg.models.structures import TextEmbeddings


def make(head='TDEEHead', spatial_channels=6):
    decoder = LiteDecoder(
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
def test_the_last_stage_alone_equals_the_last_of_all(seed):
    decoder, text, features, spatial = make()
    stages = decoder(features, spatial, text)
    alone = decoder(features, spatial, text, all_stages=False)
    assert len(stages) == 3
    assert len(alone) == 1
    torch.testing.assert_close(tuple(alone[0]), tuple(stages[-1]))
    assert stages[0].class_logits.shape == (2, 4, 3)
    assert stages[0].mask_logits.shape == (2, 4, 8, 8)


@torch.no_grad()
def test_inference_classifies_once(seed):
    decoder, text, features, spatial = make()
    calls = []
    for head in decoder.heads:
        head.register_forward_hook(lambda *_: calls.append(1))
    decoder(features, spatial, text, all_stages=False)
    assert len(calls) == 1


@torch.no_grad()
def test_the_factor_of_the_cosine_is_bounded(seed):
    decoder, text, features, spatial = make()
    decoder.heads[-1].logit_scale.fill_(9.0)
    logits = decoder(features, spatial, text)[-1].class_logits
    assert 0 < logits.abs().max() <= 100


@torch.no_grad()
def test_without_spatial_features_nothing_is_upsampled(seed):
    decoder, text, features, _ = make(head='MaskEmbedHead', spatial_channels=None)
    assert len(decoder(features, None, text)) == 3
    assert not any('spatial' in name for name in decoder.state_dict())


@torch.no_grad()
def test_stages_follow_each_other(seed):
    decoder, text, features, spatial = make()
    stages = decoder(features, spatial, text)
    kernels = decoder.object_kernels.weight.expand(2, -1, -1)
    masks = torch.einsum('bnc,bchw->bnhw', kernels, features)
    fine = decoder.spatial_upsample(spatial)
    for stage, head, got in zip(decoder.stages, decoder.heads, stages, strict=True):
        kernels, masks = stage(kernels, masks, features)
        torch.testing.assert_close(got.mask_logits, masks)
        embeds = F.normalize(head(features, fine, masks, kernels), dim=-1)
        cosines = embeds @ text.weight.T
        best = torch.stack([cosines[..., 0], cosines[..., 1:3].amax(-1)], -1)
        logits = head.logit_scale.exp() * best
        torch.testing.assert_close(got.class_logits[..., :2], logits)


def test_every_stage_gets_a_gradient(seed):
    decoder, text, features, spatial = make()
    sum(x.mask_logits.sum() for x in decoder(features, spatial, text)).backward()
    assert all(p.grad is not None for p in decoder.stages.parameters())


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
