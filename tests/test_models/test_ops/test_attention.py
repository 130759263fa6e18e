import pytest
import torch
from torch import nn

from mmovseg.models.ops import attend, cross_attention, masked_attention, self_attention


@pytest.mark.parametrize('batch', [1, 2])
def test_equals_a_loop_over_heads(batch, seed):
    query, key, value = torch.randn(3, batch, 5, 6)
    expected = []
    for part in range(2):
        q, k, v = (x[..., 3 * part : 3 * part + 3] for x in (query, key, value))
        weights = (q @ k.transpose(1, 2) / 3**0.5).softmax(-1)
        expected.append(weights @ v)
    mixed = attend(query, key, value, 2)
    torch.testing.assert_close(mixed, torch.cat(expected, -1))


@pytest.mark.parametrize('batch', [1, 2])
def test_a_graph_attends_as_the_module_does(batch, seed, monkeypatch):
    attention = nn.MultiheadAttention(6, 2, batch_first=True)
    nn.init.normal_(attention.in_proj_bias)
    query, key, value = (torch.randn(batch, n, 6) for n in (4, 7, 7))
    inputs = [x.requires_grad_() for x in (query, key, value)]
    expected = cross_attention(*inputs, attention)
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    found = cross_attention(*inputs, attention)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found.square().sum(), inputs),
        torch.autograd.grad(expected.square().sum(), inputs),
    )


@torch.no_grad()
def test_a_graph_has_no_kernel_of_evaluation(seed, monkeypatch):
    attention = nn.MultiheadAttention(6, 2, batch_first=True).eval()
    tokens = torch.randn(2, 4, 6)
    expected = self_attention(tokens, attention)
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    monkeypatch.setattr(torch, '_native_multi_head_attention', None)
    torch.testing.assert_close(self_attention(tokens, attention), expected)


@torch.no_grad()
def test_one_mask_serves_all_heads(seed):
    attention = nn.MultiheadAttention(6, 2, batch_first=True)
    nn.init.normal_(attention.in_proj_bias)
    query, key, value = (torch.randn(3, n, 6) for n in (4, 7, 7))
    mask = torch.rand(3, 4, 7) > 0.5
    mask[..., 2] = True  # nobody attends to nothing
    outside = (~mask).repeat_interleave(2, 0)  # [B * heads, T, L]
    expected, _ = attention(query, key, value, attn_mask=outside)
    found = masked_attention(query, key, value, attention, mask)
    torch.testing.assert_close(found, expected)
