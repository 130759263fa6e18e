import pytest
import torch
import torch.nn.functional as F

from mmovseg.models.ops import convolve_channels


def test_equals_a_loop_over_queries_and_channels(seed):
    features, weights = torch.randn(2, 4, 6), torch.randn(2, 4, 3)
    expected = torch.zeros(2, 4, 6)
    for b in range(2):
        for n in range(4):
            for c in range(6):
                for t in range(3):
                    if 0 <= c + t - 1 < 6:
                        part = weights[b, n, t] * features[b, n, c + t - 1]
                        expected[b, n, c] += part
    torch.testing.assert_close(convolve_channels(features, weights), expected)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('length', [1, 3, 5])
def test_the_plain_form_agrees(dtype, batch, length, seed, assert_plain_agrees):
    features = torch.randn(batch, 4, 6).to(dtype)
    weights = torch.randn(batch, 4, length).to(dtype)
    # Half precision is summed in float32, so values agree; gradients are rounded.
    half = dict(rtol=1e-2, atol=1e-2) if dtype == torch.bfloat16 else {}
    assert_plain_agrees(convolve_channels, features, weights, **half)
    with torch.autocast('cpu', torch.bfloat16):
        assert convolve_channels(features, weights).dtype in (
            torch.float32,
            torch.float64,
        )


def test_a_graph_convolves_without_groups(monkeypatch, in_graph, seed):
    features, weights = torch.randn(2, 4, 6), torch.randn(2, 4, 3)
    monkeypatch.setattr(F, 'conv1d', None)
    assert convolve_channels(features, weights).shape == (2, 4, 6)
