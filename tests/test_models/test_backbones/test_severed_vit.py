import copy

import pytest
import torch
from torch import nn

from mmovseg.models import DenseCLIPViT, SeveredViT
from mmovseg.registry import MODELS

ViT = dict(type='CLIPViTBackbone', model_name='toy-vit', out_indices=[1, 3])


@MODELS.register_module()
class _Doubler(nn.Module):
    """A severance of a user: with a weight of its own, and no attributes of ours."""

    def __init__(self, start=2.0):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(start))

    def forward(self, attention, tokens, masks):
        return self.factor * tokens


@pytest.fixture
def images(seed):
    return torch.randn(2, 3, 64, 64)


@torch.no_grad()
@pytest.mark.parametrize('alpha', [0.0, 0.5, 1.0])
def test_a_severed_clip_is_that_of_deop(tiny_clip, images, alpha):
    severance = [dict(block=-2, alpha=alpha), dict(block=1, alpha=0.3)]
    torch.manual_seed(0)
    ours = DenseCLIPViT(
        'toy-vit', severance=severance, out_indices=[1, 3], projected=False
    )
    torch.manual_seed(0)
    wrapped = SeveredViT(ViT, severance)
    assert wrapped.out_channels == ours.out_channels
    for found, expected in zip(wrapped(images), ours(images), strict=True):
        torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_a_copy_runs_its_own_weights(tiny_clip, images):
    model = SeveredViT(ViT, [dict(block=-1)])
    before = model(images)[-1]
    other = copy.deepcopy(model)
    for parameter in other.parameters():
        parameter.zero_()
    assert not other(images)[-1].any()
    assert torch.equal(model(images)[-1], before)
    names = {f'backbone.{name}' for name in model.backbone.state_dict()}
    assert set(model.state_dict()) == names
    assert not any('severance' in name for name in names)


def test_a_layer_of_a_user_plugs_in_and_trains(tiny_clip, images):
    entry = dict(block=3, type='_Doubler', start=3.0)
    torch.manual_seed(0)
    dense = DenseCLIPViT('toy-vit', severance=[entry])
    layer = dense.severance['3']
    assert dense.state_dict()['severance.3.factor'] == 3.0
    dense(images)[:, 0].sum().backward()
    assert layer.factor.grad.abs() > 0
    assert not any(p.requires_grad for p in dense.visual.parameters())
    with torch.no_grad():
        before = dense(images)
        layer.factor.fill_(0.5)
        assert not torch.equal(dense(images), before)


def test_wrong_severance_is_named(tiny_clip):
    with pytest.raises(ValueError, match='cannot sever block 3 by masks'):
        SeveredViT(ViT, [dict(block=-1, mode='mask_guided')])
    with pytest.raises(ValueError, match=r'An entry of severance needs block'):
        SeveredViT(ViT, [dict(alpha=1.0)])
    with pytest.raises(TypeError, match='CLIPConvBackbone has 0 lists'):
        SeveredViT(dict(type='CLIPConvBackbone', model_name='tiny-rn'), [])
    severed = SeveredViT(dict(ViT, out_indices=None), [dict(block=0)])
    with pytest.raises(ValueError, match='no attention mask'):
        severed.backbone.intermediates.visual.transformer.resblocks[0](
            torch.randn(3, 1, severed.embed_dims), attn_mask=torch.ones(3, 3)
        )
