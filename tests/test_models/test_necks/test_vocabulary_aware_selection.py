from importlib import import_module

import pytest
import torch
import torch.nn.functional as F

from mmovseg.models.necks.vas_neck import VocabularyAwareSelection

module = import_module('mmovseg.models.ops.best_probability')


@torch.no_grad()
def test_weight_is_the_largest_probability_scaled_and_shifted(seed):
    layer = VocabularyAwareSelection(4, 6).eval()
    layer.scale.fill_(1.7)
    layer.offset.fill_(0.2)
    features = torch.randn(2, 4, 3, 5)
    text = F.normalize(torch.randn(7, 6), dim=-1)
    image = layer.embed(features)
    scores = torch.einsum('bchw,nc->bhwn', image, layer.guide(text)) / 6**0.5
    weight = scores.softmax(-1).amax(-1) * 1.7 + 0.2
    torch.testing.assert_close(layer.attention(features, text)[:, 0], weight)
    expected = features * weight.unsqueeze(1)
    torch.testing.assert_close(layer(features, text), expected)


def test_equal_widths_need_no_projection():
    layer = VocabularyAwareSelection(4, 4)
    assert isinstance(layer.embed, torch.nn.Identity)


def test_gradient_reaches_the_text(seed):
    layer = VocabularyAwareSelection(4, 6)
    text = torch.randn(3, 6, requires_grad=True)
    layer(torch.randn(2, 4, 3, 3), text).sum().backward()
    assert (text.grad != 0).any()


def test_a_vocabulary_in_parts_gives_the_same_weight(seed, monkeypatch):
    layer = VocabularyAwareSelection(4, 6).eval()
    features = torch.randn(2, 4, 3, 5)
    text = 9 * torch.randn(7, 6)
    whole = layer.attention(features, text)
    monkeypatch.setattr(module, 'CHUNK', 3)
    with torch.no_grad():
        torch.testing.assert_close(layer.attention(features, text), whole)


@torch.no_grad()
def test_no_tensor_grows_with_vocabulary_times_map(seed, largest_tensor, monkeypatch):
    monkeypatch.setattr(module, 'CHUNK', 64)
    layer = VocabularyAwareSelection(4, 16).eval()
    features, text = torch.randn(1, 4, 32, 32), torch.randn(500, 16)
    with largest_tensor() as largest:
        layer(features, text)
    assert largest.numel == 64 * 500


@torch.no_grad()
def test_statistics_of_the_norms_take_part(seed):
    layer = VocabularyAwareSelection(4, 6)
    features, text = 3 * torch.randn(2, 4, 5, 5) + 1, torch.randn(7, 6)
    for _ in range(9):
        layer(features, text)
    layer.eval()
    with torch.enable_grad():
        expected = layer.attention(features, text)
    torch.testing.assert_close(layer.attention(features, text), expected)


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_close(dtype, seed):
    layer = VocabularyAwareSelection(4, 6).eval()
    features, text = torch.randn(2, 4, 3, 5), torch.randn(7, 6)
    expected = layer(features, text)
    with torch.autocast('cpu', dtype):
        close = layer(features, text).float()
    torch.testing.assert_close(close, expected, rtol=0.1, atol=0.05)
    assert layer.to(dtype)(features.to(dtype), text).dtype == dtype


@torch.no_grad()
def test_half_precision_counts_a_thousand_names(seed):
    """Equal names share the probability: each has a thousandth."""
    layer = VocabularyAwareSelection(6, 6).eval()
    text = torch.randn(1, 6).expand(1000, 6)
    with torch.autocast('cpu', torch.bfloat16):
        weight = layer.attention(torch.randn(1, 6, 3, 5), text)
    torch.testing.assert_close(weight, torch.full_like(weight, 1e-3), rtol=1e-3, atol=0)
