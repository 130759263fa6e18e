import pytest
import torch
import torch.nn.functional as F

from mmovseg.models.layers import DynamicDepthwiseAttention
from mmovseg.models.layers.dynamic_depthwise_attention import convolve_channels


@torch.no_grad()
def test_equals_a_loop_over_batch_queries_and_channels(seed):
    layer = DynamicDepthwiseAttention(6)
    queries, features = torch.randn(2, 4, 6), torch.randn(2, 4, 6)
    taps = layer.taps(queries)
    expected = torch.zeros(2, 4, 6)
    for b in range(2):
        for n in range(4):
            for c in range(6):
                for t in range(3):
                    if 0 <= c + t - 1 < 6:
                        expected[b, n, c] += taps[b, n, t] * features[b, n, c + t - 1]
    torch.testing.assert_close(layer(queries, features), layer.norm(expected))


@pytest.mark.parametrize('num_taps', [1, 3, 5])
def test_a_graph_convolves_without_groups(monkeypatch, seed, num_taps):
    features, taps = torch.randn(2, 4, 6), torch.randn(2, 4, num_taps)
    expected = convolve_channels(features, taps)
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    monkeypatch.setattr(F, 'conv1d', None)
    torch.testing.assert_close(convolve_channels(features, taps), expected)
