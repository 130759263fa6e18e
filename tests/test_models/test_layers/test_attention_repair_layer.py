import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from torch import nn

from mmovseg.models.backbones import DenseCLIPViT, SeveredViT
from mmovseg.models.layers import (
    AttentionRepairLayer,
    PatchSeveranceLayer,
    run_severed,
)
from mmovseg.models.layers.attention_repair_layer import (
    MODES,
    gaussian_nearness,
    turn_keys,
)

CHANNELS, HEADS, GRID = 8, 2, (2, 3)


@pytest.fixture
def attention(seed):
    attention = nn.MultiheadAttention(CHANNELS, HEADS, batch_first=True).eval()
    nn.init.normal_(attention.in_proj_bias)
    nn.init.normal_(attention.out_proj.bias)
    return attention


@pytest.fixture
def tokens(seed):
    return torch.randn(2, 7, CHANNELS)


def by_definition(attention, tokens, kinds, near=0.0):
    """Mix values with the sum of softmaxes of queries, or keys, with themselves."""
    weights = attention.in_proj_weight.view(3, CHANNELS, CHANNELS)
    biases = attention.in_proj_bias.view(3, CHANNELS)
    parts = [tokens @ w.T + b for w, b in zip(weights, biases, strict=True)]
    width, result = CHANNELS // HEADS, []
    for head in range(HEADS):
        q, k, v = (x[..., head * width : (head + 1) * width] for x in parts)
        one = {'q': q, 'k': k}
        weight = sum(
            (one[x] @ one[x].transpose(1, 2) / width**0.5 + near).softmax(-1)
            for x in kinds
        )
        result.append(weight @ v)
    return attention.out_proj(torch.cat(result, -1))


@pytest.mark.parametrize(
    ('mode', 'kinds'), [('sclip', 'qk'), ('clearclip', 'q'), ('naclip', 'k')]
)
def test_formulas(attention, tokens, mode, kinds):
    near = 0.0
    if mode == 'naclip':
        near = torch.zeros(7, 7)
        for i in range(6):
            for j in range(6):
                square = (i // 3 - j // 3) ** 2 + (i % 3 - j % 3) ** 2
                near[1 + i, 1 + j] = torch.tensor(-square / 50.0).exp()
        torch.testing.assert_close(gaussian_nearness(GRID, 5.0), near)
    found = AttentionRepairLayer(mode)(attention, tokens, grid=GRID)
    torch.testing.assert_close(found, by_definition(attention, tokens, kinds, near))


def test_keys_are_turned_head_by_head(attention, tokens):
    weights = attention.in_proj_weight.view(3, CHANNELS, CHANNELS)
    biases = attention.in_proj_bias.view(3, CHANNELS)
    q, k, v = (tokens @ w.T + b for w, b in zip(weights, biases, strict=True))
    width, mixed = CHANNELS // HEADS, []
    for image in range(2):
        heads = []
        for head in range(HEADS):
            part = slice(head * width, (head + 1) * width)
            keys, queries = k[image, :, part], q[image, :, part]
            turn, _ = orthogonal_procrustes(keys.detach(), queries.detach())
            turned = keys @ torch.from_numpy(turn)
            weight = (queries @ turned.T / width**0.5).softmax(-1)
            heads.append(weight @ v[image, :, part])
        mixed.append(torch.cat(heads, -1))
    expected = attention.out_proj(torch.stack(mixed))
    found = AttentionRepairLayer('pearl')(attention, tokens)
    torch.testing.assert_close(found, expected)
    half = q.bfloat16(), k.bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        turned = turn_keys(*half, HEADS)
    assert turned.dtype == torch.bfloat16
    expected = turn_keys(*(x.float() for x in half), HEADS)
    torch.testing.assert_close(turned.float(), expected, atol=0.02, rtol=0.01)


def test_values_alone_are_those_of_full_severance(attention, tokens):
    found = AttentionRepairLayer('maskclip')(attention, tokens)
    expected = PatchSeveranceLayer('generalized', 1.0)(attention, tokens, None)
    torch.testing.assert_close(found, expected)


@pytest.fixture(scope='module')
def block():
    tower = DenseCLIPViT('tiny-vit', 'shapeworld').visual
    return tower.transformer.resblocks[-1]


@pytest.mark.parametrize('mode', ['clearclip', 'naclip', 'maskclip'])
def test_blocks_end_behind_the_attention(block, mode, seed):
    x = torch.randn(1, 7, block.ln_1.normalized_shape[0])
    layer = AttentionRepairLayer(mode)
    with torch.no_grad():
        found = run_severed(block, layer, x, grid=GRID)
        expected = layer(block.attn, block.ln_1(x), grid=GRID)
    torch.testing.assert_close(found, expected)


def test_blocks_may_go_on_as_with_severance(block, seed):
    x = torch.randn(1, 7, block.ln_1.normalized_shape[0])
    layer = AttentionRepairLayer('maskclip', residual_scale=1, feed_forward=True)
    with torch.no_grad():
        found = run_severed(block, layer, x)
        expected = run_severed(block, PatchSeveranceLayer('generalized', 1.0), x)
        torch.testing.assert_close(found, expected)
        kept = run_severed(block, AttentionRepairLayer('sclip'), x)
    assert AttentionRepairLayer('sclip').residual_scale == 1
    assert not torch.allclose(kept, expected)


@pytest.mark.parametrize('mode', MODES)
def test_towers_take_them_by_name_with_and_without_prompts(mode, seed):
    entry = dict(block=-1, type='AttentionRepairLayer', mode=mode)
    images = torch.randn(1, 3, 32, 48)
    plain = DenseCLIPViT('tiny-vit', 'shapeworld')(images)
    prompt = dict(type='PrependedPrompt', blocks=[5], num_tokens=2)
    for more in ({}, dict(visual_prompt=prompt)):
        tower = DenseCLIPViT('tiny-vit', 'shapeworld', severance=[entry], **more)
        features = tower(images)
        assert features.shape == plain.shape and features.isfinite().all()
        assert not torch.allclose(features, plain, atol=1e-3)


def test_a_vit_without_a_grid_refuses_what_needs_one():
    vit = dict(type='TimmViTBackbone', model_name='vit_tiny_patch16_224')
    entry = dict(block=-1, type='AttentionRepairLayer', mode='naclip')
    with pytest.raises(ValueError, match='nobody tells it the grid'):
        SeveredViT(vit, [entry])


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"mode must be one of .*'x'"):
        AttentionRepairLayer('x')
    with pytest.raises(ValueError, match=r"mode must be one of .*\['sclip'\]"):
        AttentionRepairLayer(['sclip'])
    with pytest.raises(ValueError, match="feed_forward is True or False, got 'no'"):
        AttentionRepairLayer('sclip', feed_forward='no')
    with pytest.raises(ValueError, match=r'gaussian_std must be above 0, got 0\.'):
        AttentionRepairLayer('naclip', gaussian_std=0)
    with pytest.raises(ValueError, match="is for mode 'naclip', not 'sclip'"):
        AttentionRepairLayer('sclip', gaussian_std=3.0)
    with pytest.raises(ValueError, match='residual_scale must be finite, got nan'):
        AttentionRepairLayer('sclip', residual_scale=float('nan'))
