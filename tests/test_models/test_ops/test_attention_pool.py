import open_clip
import pytest
import torch
from torch import nn

from mmovseg.models.ops import attention_pool


def make_pool(side=3):
    pool = open_clip.modified_resnet.AttentionPool2d(side, 8, 2, 5)
    for projection in (pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj):
        nn.init.normal_(projection.bias)
    return pool


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('batch', [1, 2])
def test_the_plain_form_agrees(dtype, batch, layout, seed, assert_plain_agrees):
    pool = make_pool().to(dtype)
    features = layout(torch.randn(batch, 8, 3, 4).to(dtype))
    masks = torch.rand(batch, 6, 3, 4) > 0.5
    half = dict(rtol=5e-2, atol=5e-2) if dtype == torch.bfloat16 else {}
    # The bias of the keys is in one form alone, and has no gradient but rounding.
    pool.k_proj.bias.requires_grad_(False)

    def run(features, *weights):
        return attention_pool(features, masks, pool)

    assert_plain_agrees(run, features, **half)


def test_a_mask_of_everything_pools_as_clip_does(seed):
    pool, features = make_pool(), torch.randn(2, 8, 3, 3)
    # CLIP's query attends to itself too, which no region does.
    pooled = attention_pool(features, torch.ones(2, 1, 3, 3, dtype=torch.bool), pool)
    assert pooled.shape == (2, 1, 5)
    tokens = (features + pool.positional_embedding[1:].T.view(1, 8, 3, 3)).flatten(2)
    query = features.mean((-2, -1)) + pool.positional_embedding[0]
    q = pool.q_proj(query).view(2, 2, 1, 4)
    k, v = (
        project(tokens.transpose(1, 2)).view(2, 9, 2, 4).transpose(1, 2)
        for project in (pool.k_proj, pool.v_proj)
    )
    mixed = (q @ k.transpose(-1, -2) / 2).softmax(-1) @ v  # [B, heads, 1, 4]
    expected = pool.c_proj(mixed.transpose(1, 2).flatten(2))
    torch.testing.assert_close(pooled, expected)
